"""Wires the dataset service."""

import functools
import threading

from chassis import Service, run
from chassis.auth import Authenticator
from chassis.blobs import Blobs, blobs_from_url
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from chassis.ids import new_id
from headwater.dataset.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    datastores_pb2,
    datastores_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    proofs_pb2,
    proofs_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)
from services.dataset.changes.changes import Changes
from services.dataset.changes.edits import Edits
from services.dataset.checkpoints.checkpoints import Checkpoints
from services.dataset.checkpoints.imports import ImportOptions, Imports
from services.dataset.collector import Collector
from services.dataset.compaction.compaction import Compaction, CompactionOptions
from services.dataset.datasets import Datasets
from services.dataset.datastores.allowed import Allowed
from services.dataset.datastores.datastores import Datastores
from services.dataset.datastores.links import Links
from services.dataset.datastores.live import LivePaths
from services.dataset.datastores.places import PlaceLimits, Places
from services.dataset.datastores.reading import LiveReads
from services.dataset.datastores.sealing import Seal
from services.dataset.datastores.servicer import DatastoreServicer
from services.dataset.flight import DatasetFlight, FlightParts
from services.dataset.handoff.handoff import Handoff
from services.dataset.history.history import History
from services.dataset.history.servicer import DatasetHistoryServicer
from services.dataset.history.versions import Versions
from services.dataset.postgres import MIGRATIONS, SCHEMA, PostgresStore
from services.dataset.profiles.found import VersionSources
from services.dataset.profiles.profiler import Profiler, ProfilerOptions
from services.dataset.profiles.profiles import Profiles
from services.dataset.proofs.proofs import RowProofs
from services.dataset.proofs.servicer import RowProofServicer
from services.dataset.reads import Reads
from services.dataset.rows.damage import note_damage
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.writer import PutLimits
from services.dataset.servicer import DatasetServicer
from services.dataset.settings import Settings
from services.dataset.store import Store
from services.dataset.uploads import Uploads
from services.dataset.views.servicer import DatasetViewServicer
from services.dataset.views.views import Views


async def build(settings: Settings) -> Service:
    """The service on PostgreSQL and the blobs that the settings name, not yet started."""
    database = Database(settings.database_url, SCHEMA, settings.database_pool_size)
    blobs = blobs_from_url(settings.blobs_url, SCHEMA)
    service = wire(settings, PostgresStore(database), blobs)
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, SCHEMA, MIGRATIONS))
    service.add_check("postgresql", database.check)
    service.add_check("blobs", blobs.check)
    service.on_close(blobs.close)
    service.on_close(database.close)
    return service


def wire(settings: Settings, store: Store, blobs: Blobs) -> Service:
    """The service on a store and blobs of the caller's."""
    auth = Authenticator.from_settings(settings.auth_key_file)
    service = Service("dataset", settings, auth=auth)
    datasets, uploads = Datasets(store), Uploads(store, settings.upload_ttl_s)
    packs = MappedPacks(blobs, settings.mapped_packs)
    packs.when_damaged(functools.partial(note_damage, store))
    collector = Collector(
        store,
        blobs,
        interval_s=settings.collect_interval_s,
        write_timeout_s=settings.pack_write_timeout_s,
        unreachable_ttl_s=settings.unreachable_commit_ttl_s,
        retired_pack_ttl_s=settings.retired_pack_ttl_s,
        packs=packs,
    )
    limits = PutLimits(settings.pack_max_bytes, settings.pack_write_timeout_s, settings.upload_ttl_s)
    changes = Changes(store, blobs, packs, limits)
    reads = Reads(store, packs, retired_pack_ttl_s=settings.retired_pack_ttl_s)
    # Without authentication there is no key that outlives the process, and so nothing that could be decrypted again.
    seal = Seal(auth.derive_key("datastore-credentials") if auth.enabled else None)
    places = Places(
        Allowed.parse(settings.datastore_folders, settings.datastore_hosts),
        PlaceLimits(settings.datastore_spool_max_bytes, settings.datastore_statement_timeout_s),
    )
    live = LivePaths(store, seal, places, settings.max_datastore_reads)
    me = new_id()  # a new name for each start: leases of the process before this one must run out first
    options = ImportOptions(
        owner=me, lease_s=settings.checkpoint_lease_s, poll_interval_s=settings.checkpoint_poll_interval_s
    )
    compaction = Compaction(store, blobs, _compaction_options(settings), me)
    sources = VersionSources(store, packs, live)
    imports = Imports(store, blobs, live, limits, options)
    parts = FlightParts(
        datasets=datasets,
        reads=reads,
        live=LiveReads(store, reads, live, settings.datastore_reader_timeout_s),
        uploads=uploads,
        edits=Edits(store, blobs, packs, limits),
        store=store,
        blobs=blobs,
        packs=packs,
        handoff=Handoff(reads, packs),
        limits=limits,
        max_put_streams=settings.max_put_streams,
        put_slots=threading.BoundedSemaphore(settings.max_put_streams),
        max_made_streams=settings.max_made_streams,
        made_slots=threading.BoundedSemaphore(settings.max_made_streams),
        ticket_ttl_s=settings.ticket_ttl_s,
    )
    service.add_servicer(
        datasets_pb2_grpc.add_DatasetServiceServicer_to_server,
        DatasetServicer(datasets, Versions(store), uploads, changes, Links(store)),
        datasets_pb2.DESCRIPTOR.services_by_name["DatasetService"],
    )
    service.add_servicer(
        history_pb2_grpc.add_DatasetHistoryServiceServicer_to_server,
        DatasetHistoryServicer(History(store), changes),
        history_pb2.DESCRIPTOR.services_by_name["DatasetHistoryService"],
    )
    service.add_servicer(
        proofs_pb2_grpc.add_RowProofServiceServicer_to_server,
        RowProofServicer(RowProofs(store, packs)),
        proofs_pb2.DESCRIPTOR.services_by_name["RowProofService"],
    )
    service.add_flight(
        lambda wiring: DatasetFlight(wiring, parts), port=settings.flight_port, unix_path=settings.flight_socket
    )
    service.add_servicer(
        datastores_pb2_grpc.add_DatastoreServiceServicer_to_server,
        DatastoreServicer(Datastores(store, seal, places), seal),
        datastores_pb2.DESCRIPTOR.services_by_name["DatastoreService"],
    )
    service.add_servicer(
        views_pb2_grpc.add_DatasetViewServiceServicer_to_server,
        DatasetViewServicer(Views(store), Profiles(store, sources), Checkpoints(store, imports.wake)),
        views_pb2.DESCRIPTOR.services_by_name["DatasetViewService"],
    )
    service.add_background("collector", collector.run)
    service.add_background("compaction", compaction.run)
    service.add_background("checkpoints", imports.run)
    profiling = ProfilerOptions(
        me, settings.profile_lease_s, settings.profile_max_attempts, settings.profile_poll_interval_s
    )
    for number in range(settings.profilers):
        profiler = Profiler(store, sources, profiling)
        service.add_background(f"profiler {number}", profiler.run)
    return service


def _compaction_options(settings: Settings) -> CompactionOptions:
    return CompactionOptions(
        compact_interval_s=settings.compact_interval_s,
        compact_after_s=settings.compact_after_s,
        compact_max_live_share=settings.compact_max_live_share,
        retired_pack_ttl_s=settings.retired_pack_ttl_s,
        pack_max_bytes=settings.pack_max_bytes,
        pack_write_timeout_s=settings.pack_write_timeout_s,
    )


if __name__ == "__main__":
    run(build, Settings)

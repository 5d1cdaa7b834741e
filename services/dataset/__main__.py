"""Wires the dataset service."""

import functools

from chassis import Service, run
from chassis.auth import Authenticator
from chassis.blobs import Blobs, blobs_from_url
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from headwater.dataset.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    proofs_pb2,
    proofs_pb2_grpc,
)
from services.dataset.changes.changes import Changes
from services.dataset.changes.edits import Edits
from services.dataset.collector import Collector
from services.dataset.datasets import Datasets
from services.dataset.flight import DatasetFlight, FlightParts
from services.dataset.history.history import History
from services.dataset.history.servicer import DatasetHistoryServicer
from services.dataset.history.versions import Versions
from services.dataset.postgres import MIGRATIONS, SCHEMA, PostgresStore
from services.dataset.proofs.proofs import RowProofs
from services.dataset.proofs.servicer import RowProofServicer
from services.dataset.reads import Reads
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.writer import PutLimits
from services.dataset.servicer import DatasetServicer
from services.dataset.settings import Settings
from services.dataset.store import Store
from services.dataset.uploads import Uploads


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
    datasets, uploads = Datasets(store), Uploads(store, settings.upload_ttl_s)
    collector = Collector(
        store,
        blobs,
        interval_s=settings.collect_interval_s,
        write_timeout_s=settings.pack_write_timeout_s,
        unreachable_ttl_s=settings.unreachable_commit_ttl_s,
    )
    packs = MappedPacks(blobs, settings.mapped_packs)
    limits = PutLimits(settings.pack_max_bytes, settings.pack_write_timeout_s, settings.upload_ttl_s)
    changes = Changes(store, blobs, packs, limits)
    parts = FlightParts(
        datasets=datasets,
        reads=Reads(store, packs),
        uploads=uploads,
        edits=Edits(store, blobs, packs, limits),
        store=store,
        blobs=blobs,
        packs=packs,
        limits=limits,
        max_put_streams=settings.max_put_streams,
        ticket_ttl_s=settings.ticket_ttl_s,
    )
    service = Service("dataset", settings, auth=Authenticator.from_settings(settings.auth_key_file))
    service.add_servicer(
        datasets_pb2_grpc.add_DatasetServiceServicer_to_server,
        DatasetServicer(datasets, Versions(store), uploads, changes),
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
    service.add_background("collector", collector.run)
    return service


if __name__ == "__main__":
    run(build, Settings)

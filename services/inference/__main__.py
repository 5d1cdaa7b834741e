"""Wires the inference service."""

import asyncio
import dataclasses
import functools
import tempfile
from pathlib import Path

from tritonclient.grpc import service_pb2_grpc

from chassis import Service, run
from chassis.auth import Authenticator, Role
from chassis.blobs import Blobs, LocalBlobs, MemoryBlobs, blobs_from_url
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from chassis.rpc.client import channel
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
)
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.first_loads import FirstLoads
from services.inference.deployments.lineage import Announcer, Lineage
from services.inference.deployments.loading import Loading
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.registry import RegistryLineage
from services.inference.deployments.servicer import DeploymentServicer
from services.inference.deployments.serving import Serving
from services.inference.deployments.store import DeploymentStore
from services.inference.engines.code import parse_code
from services.inference.engines.loader import Bounds, Engines
from services.inference.engines.metrics import EngineCollector
from services.inference.engines.triton.remotes import Remotes
from services.inference.guard.guard import Guard
from services.inference.guard.metrics import GuardCollector
from services.inference.guard.postgres import PostgresStandings
from services.inference.guard.rollback import Rollbacks
from services.inference.guard.standing import StandingStore
from services.inference.guard.warden import Warden
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.postgres import PostgresIncidents
from services.inference.incidents.servicer import IncidentServicer
from services.inference.incidents.store import IncidentStore
from services.inference.kserve.about import About
from services.inference.kserve.http.errors import tell
from services.inference.kserve.http.front import Front
from services.inference.kserve.http.handlers import Handlers
from services.inference.kserve.repository import Repository
from services.inference.kserve.servicer import DESCRIPTOR, ROLES, InferenceServicer
from services.inference.kserve.shared_memory import Regions
from services.inference.kserve.wire import CODEC
from services.inference.metrics import InferenceCollector
from services.inference.models.cache import ModelCache
from services.inference.models.registry import RegistryModels
from services.inference.models.source import ModelSource
from services.inference.predictor import Predictor
from services.inference.records.archive import Archive
from services.inference.records.events.exporter import Exporter
from services.inference.records.events.sinks import sink_from_url
from services.inference.records.feedback.feedback import Feedbacks
from services.inference.records.feedback.postgres import PostgresFeedback
from services.inference.records.feedback.servicer import InferenceFeedbackServicer
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.flight import RecordsFlight
from services.inference.records.log_file import RequestLog
from services.inference.records.postgres import PostgresRecords
from services.inference.records.recorder import Recorder
from services.inference.records.rotation import Rotation, RotationOptions
from services.inference.records.servicer import InferenceRecordServicer
from services.inference.records.store import HotRecords
from services.inference.settings import Settings
from services.inference.traffic.metrics import TrafficCollector
from services.inference.traffic.rollouts.driver import Driver, breaker_open
from services.inference.traffic.rollouts.rollouts import Rollouts
from services.inference.traffic.rollouts.servicer import RolloutServicer
from services.inference.traffic.servicer import TrafficServicer
from services.inference.traffic.shadows import Shadows

SCHEMA = "inference"
MIGRATIONS = Path(__file__).parent / "migrations"
_ANNOUNCE_INTERVAL_S = 5.0
_GUARD_INTERVAL_S = 0.2
_ROTATION_INTERVAL_S = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Outside:
    """What the service needs from outside of its process."""

    deployments: DeploymentStore
    records: HotRecords
    models: ModelSource
    lineage: Lineage
    incidents: IncidentStore
    standings: StandingStore
    feedback: FeedbackStore
    blobs: Blobs | None
    """Where older records go; None: they stay where they are."""


async def build(settings: Settings) -> Service:
    """The service on PostgreSQL and the registry that the settings name, not yet started."""
    auth = Authenticator.from_settings(settings.auth_key_file)
    database = Database(settings.database_url, SCHEMA, settings.database_pool_size)
    token = auth.token_source("service:inference", [Role.READER, Role.WRITER])
    registry = channel(settings.registry_address, token=token, settings=settings)
    deployments = PostgresDeployments(database)
    outside = Outside(
        deployments,
        PostgresRecords(database),
        RegistryModels(registry),
        RegistryLineage(registry),
        PostgresIncidents(database),
        PostgresStandings(database),
        PostgresFeedback(database),
        blobs_from_url(settings.blobs_url, SCHEMA) if settings.blobs_url else None,
    )
    service = Service("inference", settings, auth=auth)
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, SCHEMA, MIGRATIONS))
    service.add_check("postgresql", database.check)
    service.add_background("requests", deployments.forget_requests)
    service.on_close(database.close)
    service.on_close(registry.close)
    if outside.blobs is not None:
        service.add_check("blobs", outside.blobs.check)
        service.on_close(outside.blobs.close)
    wire(service, settings, outside)
    return service


def wire(service: Service, settings: Settings, outside: Outside) -> None:
    """Let ``service`` answer with whatever keeps its deployments and records and gives it its models."""
    clock = SystemClock()
    recorder = _recorder(service, settings, outside)
    bounds = Bounds(
        settings.engine_threads, settings.engine_memory_bytes, settings.engine_timeout_s, settings.engine_load_timeout_s
    )
    engines = Engines(
        bounds,
        isolation=settings.engine_isolation,
        code=parse_code(settings.engine_code),
        remotes=Remotes.from_settings(settings.triton_hosts, settings.triton_ca_file, settings.engine_timeout_s),
    )
    service.on_close(functools.partial(asyncio.to_thread, engines.close))
    loading = Loading(
        _model_cache(service, settings, outside.models),
        engines,
        engine_timeout_s=settings.engine_timeout_s,
        max_queue_bytes=settings.max_queue_bytes,
    )
    announcer = Announcer(outside.deployments, outside.lineage, interval_s=_ANNOUNCE_INTERVAL_S)
    incidents = IncidentLog(outside.incidents, clock)
    guard = Guard(incidents, clock)
    rollbacks = Rollbacks(outside.standings, outside.models, incidents, clock)
    serving = Serving(
        outside.deployments,
        outside.models,
        loading,
        interval_s=settings.resolve_interval_s,
        announce=announcer.wake,
        rollbacks=rollbacks,
    )
    rollbacks.wake = serving.wake

    def changed() -> None:
        serving.wake()
        announcer.wake()

    deployments = Deployments(outside.deployments, outside.models, clock, changed)
    shadows = Shadows(recorder, clock)
    predictor = Predictor(serving, recorder, guard, shadows, clock)
    rollouts = Rollouts(outside.deployments, outside.models, changed)
    driver = Driver(
        outside.deployments,
        serving,
        rollouts,
        guard,
        interval_s=settings.resolve_interval_s,
        doubts=[breaker_open],
    )
    regions = Regions(settings.shared_memory_prefixes.split(","))
    about = About(serving, recorder, regions, settings.server_name)
    repository = Repository(deployments, serving)
    service.add_servicer(
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server,
        InferenceServicer(predictor, about, repository, regions, clock),
        DESCRIPTOR,
        roles=ROLES,
        codecs={"ModelInfer": CODEC},
    )
    front = Front(
        Handlers(predictor, about, repository, regions, clock),
        max_body_bytes=settings.max_message_bytes,
        max_requests=settings.max_concurrent_calls,
    )
    service.add_http(front, settings.http_port, tell=tell, cancels=True)
    service.add_servicer(
        deployments_pb2_grpc.add_DeploymentServiceServicer_to_server,
        DeploymentServicer(deployments, serving, rollbacks),
        deployments_pb2.DESCRIPTOR.services_by_name["DeploymentService"],
    )
    service.add_servicer(
        rollouts_pb2_grpc.add_RolloutServiceServicer_to_server,
        RolloutServicer(rollouts, driver, clock),
        rollouts_pb2.DESCRIPTOR.services_by_name["RolloutService"],
    )
    service.add_servicer(
        rollouts_pb2_grpc.add_TrafficServiceServicer_to_server,
        TrafficServicer(deployments, serving),
        rollouts_pb2.DESCRIPTOR.services_by_name["TrafficService"],
    )
    service.add_servicer(
        incidents_pb2_grpc.add_IncidentServiceServicer_to_server,
        IncidentServicer(incidents),
        incidents_pb2.DESCRIPTOR.services_by_name["IncidentService"],
    )
    service.metrics.registry.register(GuardCollector(serving, incidents))
    service.metrics.registry.register(TrafficCollector(serving))
    service.metrics.registry.register(InferenceCollector(serving, recorder))
    service.metrics.registry.register(EngineCollector(engines))
    service.add_check("parity", FirstLoads(serving).check)
    service.add_check("registry", outside.models.check)
    service.add_background("serving", serving.run)
    service.add_background("rollouts", driver.run)
    service.add_background("lineage", announcer.run)
    service.add_background("incidents", incidents.run)
    service.add_background("guard", Warden(serving, guard, rollbacks, interval_s=_GUARD_INTERVAL_S).run)
    service.on_close(incidents.close)
    service.on_close(guard.close)
    service.on_close(recorder.close)
    service.on_close(serving.close)  # comes before those: it answers what was accepted
    service.on_close(shadows.close)  # comes first: nobody waits for copies


def _recorder(service: Service, settings: Settings, outside: Outside) -> Recorder:
    """What records requests, with everything that shows records, moves them, and sends them on."""
    clock = SystemClock()
    archive = Archive(outside.records, outside.blobs or MemoryBlobs())
    recorder = Recorder(
        archive,
        flush_interval_s=settings.record_flush_interval_s,
        max_records=settings.record_buffer_size,
        max_bytes=settings.record_buffer_bytes,
        listeners=[RequestLog(settings.request_log)] if settings.request_log else [],
    )
    service.add_servicer(
        deployments_pb2_grpc.add_InferenceRecordServiceServicer_to_server,
        InferenceRecordServicer(recorder, outside.feedback),
        deployments_pb2.DESCRIPTOR.services_by_name["InferenceRecordService"],
    )
    service.add_servicer(
        feedback_pb2_grpc.add_InferenceFeedbackServiceServicer_to_server,
        InferenceFeedbackServicer(Feedbacks(recorder, outside.feedback, clock)),
        feedback_pb2.DESCRIPTOR.services_by_name["InferenceFeedbackService"],
    )
    service.add_flight(
        lambda wiring: RecordsFlight(wiring, recorder, archive, outside.feedback), port=settings.flight_port
    )
    service.add_check("records", recorder.check)
    service.add_background("records", recorder.run)
    if outside.blobs is not None:
        options = RotationOptions(
            settings.record_rotate_after_s,
            settings.record_rotate_rows,
            settings.record_retention_s,
            settings.record_body_retention_s,
            interval_s=min(settings.record_rotate_after_s / 10, _ROTATION_INTERVAL_S),
        )
        rotation = Rotation(outside.records, outside.feedback, outside.blobs, clock, options)
        service.add_background("record files", rotation.run)
    if settings.events_url:
        sink = sink_from_url(settings.events_url, settings.events_hosts)
        exporter = Exporter(outside.records, archive, sink, settings.events_interval_s)
        service.add_background("events", exporter.run)
    return recorder


def _model_cache(service: Service, settings: Settings, models: ModelSource) -> ModelCache:
    directory = settings.model_cache_dir
    if not directory:
        temporary = tempfile.TemporaryDirectory(prefix="headwater-models-")
        directory = temporary.name
        service.on_close(functools.partial(asyncio.to_thread, temporary.cleanup))
    return ModelCache(models, LocalBlobs(Path(directory)), max_file_bytes=settings.max_model_bytes)


if __name__ == "__main__":
    run(build, Settings)

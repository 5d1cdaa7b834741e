"""Wires the inference service."""

import asyncio
import dataclasses
import functools
import tempfile
from pathlib import Path

from tritonclient.grpc import service_pb2_grpc

from chassis import Service, run
from chassis.auth import Authenticator, Role
from chassis.blobs import LocalBlobs
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from chassis.rpc.client import channel
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
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
from services.inference.kserve.servicer import DESCRIPTOR, ROLES, InferenceServicer
from services.inference.metrics import InferenceCollector
from services.inference.models.cache import ModelCache
from services.inference.models.registry import RegistryModels
from services.inference.models.source import ModelSource
from services.inference.predictor import Predictor
from services.inference.records.postgres import PostgresRecords
from services.inference.records.recorder import Recorder
from services.inference.records.servicer import InferenceRecordServicer
from services.inference.records.store import RecordStore
from services.inference.settings import Settings

SCHEMA = "inference"
MIGRATIONS = Path(__file__).parent / "migrations"
_ANNOUNCE_INTERVAL_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Outside:
    """What the service needs from outside of its process."""

    deployments: DeploymentStore
    records: RecordStore
    models: ModelSource
    lineage: Lineage


async def build(settings: Settings) -> Service:
    """The service on PostgreSQL and the registry that the settings name, not yet started."""
    auth = Authenticator.from_settings(settings.auth_key_file)
    database = Database(settings.database_url, SCHEMA, settings.database_pool_size)
    token = auth.token_source("service:inference", [Role.READER, Role.WRITER])
    registry = channel(settings.registry_address, token=token, settings=settings)
    deployments = PostgresDeployments(database)
    outside = Outside(deployments, PostgresRecords(database), RegistryModels(registry), RegistryLineage(registry))
    service = Service("inference", settings, auth=auth)
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, SCHEMA, MIGRATIONS))
    service.add_check("postgresql", database.check)
    service.add_background("requests", deployments.forget_requests)
    service.on_close(database.close)
    service.on_close(registry.close)
    wire(service, settings, outside)
    return service


def wire(service: Service, settings: Settings, outside: Outside) -> None:
    """Let ``service`` answer with whatever keeps its deployments and records and gives it its models."""
    clock = SystemClock()
    recorder = Recorder(
        outside.records,
        flush_interval_s=settings.record_flush_interval_s,
        max_records=settings.record_buffer_size,
        max_bytes=settings.record_buffer_bytes,
    )
    bounds = Bounds(
        settings.engine_threads, settings.engine_memory_bytes, settings.engine_timeout_s, settings.engine_load_timeout_s
    )
    engines = Engines(bounds, isolation=settings.engine_isolation, code=parse_code(settings.engine_code))
    service.on_close(functools.partial(asyncio.to_thread, engines.close))
    loading = Loading(
        _model_cache(service, settings, outside.models),
        engines,
        engine_timeout_s=settings.engine_timeout_s,
        max_queue_bytes=settings.max_queue_bytes,
    )
    announcer = Announcer(outside.deployments, outside.lineage, interval_s=_ANNOUNCE_INTERVAL_S)
    serving = Serving(
        outside.deployments,
        outside.models,
        loading,
        interval_s=settings.resolve_interval_s,
        announce=announcer.wake,
    )

    def changed() -> None:
        serving.wake()
        announcer.wake()

    service.add_servicer(
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server,
        InferenceServicer(Predictor(serving, recorder, clock), serving, recorder, clock),
        DESCRIPTOR,
        roles=ROLES,
    )
    service.add_servicer(
        deployments_pb2_grpc.add_DeploymentServiceServicer_to_server,
        DeploymentServicer(Deployments(outside.deployments, outside.models, clock, changed), serving),
        deployments_pb2.DESCRIPTOR.services_by_name["DeploymentService"],
    )
    service.add_servicer(
        deployments_pb2_grpc.add_InferenceRecordServiceServicer_to_server,
        InferenceRecordServicer(recorder),
        deployments_pb2.DESCRIPTOR.services_by_name["InferenceRecordService"],
    )
    service.metrics.registry.register(InferenceCollector(serving, recorder))
    service.metrics.registry.register(EngineCollector(engines))
    service.add_check("parity", FirstLoads(serving).check)
    service.add_check("registry", outside.models.check)
    service.add_check("records", recorder.check)
    service.add_background("serving", serving.run)
    service.add_background("lineage", announcer.run)
    service.add_background("records", recorder.run)
    service.on_close(recorder.close)
    service.on_close(serving.close)  # comes first: it answers what was accepted


def _model_cache(service: Service, settings: Settings, models: ModelSource) -> ModelCache:
    directory = settings.model_cache_dir
    if not directory:
        temporary = tempfile.TemporaryDirectory(prefix="headwater-models-")
        directory = temporary.name
        service.on_close(functools.partial(asyncio.to_thread, temporary.cleanup))
    return ModelCache(models, LocalBlobs(Path(directory)), max_file_bytes=settings.max_model_bytes)


if __name__ == "__main__":
    run(build, Settings)

"""The inference service as a process: the one place where its parts are put together (each of the larger ones in a file
of ``wiring``)."""

from pathlib import Path

from chassis import Service, memory, run
from chassis.auth import Authenticator
from chassis.clock import SystemClock
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    drift_pb2,
    drift_pb2_grpc,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
)
from services.inference.deployments.deployments import Deployments
from services.inference.deployments.first_loads import FirstLoads
from services.inference.deployments.lineage import Announcer
from services.inference.deployments.loading import Loading
from services.inference.deployments.servicer import DeploymentServicer
from services.inference.deployments.serving import Serving
from services.inference.drift.baselines import Baselines
from services.inference.drift.metrics import DriftCollector
from services.inference.drift.monitor import Monitor, Trackers
from services.inference.drift.servicer import DriftServicer
from services.inference.guard.guard import Guard
from services.inference.guard.metrics import GuardCollector
from services.inference.guard.rollback import Rollbacks
from services.inference.guard.warden import Warden
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.servicer import IncidentServicer
from services.inference.metrics import InferenceCollector
from services.inference.predictor import Predictor
from services.inference.settings import Settings
from services.inference.traffic.metrics import TrafficCollector
from services.inference.traffic.rollouts.driver import Driver, breaker_open
from services.inference.traffic.rollouts.rollouts import Rollouts
from services.inference.traffic.rollouts.servicer import RolloutServicer
from services.inference.traffic.servicer import TrafficServicer
from services.inference.traffic.shadows import Shadows
from services.inference.wiring.conversions import add_conversions
from services.inference.wiring.engines import engines_of, model_cache
from services.inference.wiring.outside import Outside, outside_of
from services.inference.wiring.protocol import add_protocol
from services.inference.wiring.records import add_records

SCHEMA = "inference"
MIGRATIONS = Path(__file__).parent / "migrations"
_ANNOUNCE_INTERVAL_S = 5.0
_GUARD_INTERVAL_S = 0.2
_DRIFT_INTERVAL_S = 1.0


async def build(settings: Settings) -> Service:
    """The service on PostgreSQL and the registry that the settings name, not yet started."""
    memory.share_freed()  # tensors come in one thread, are computed in another and hashed in a third
    service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
    wire(service, settings, outside_of(service, settings, SCHEMA, MIGRATIONS))
    return service


def wire(service: Service, settings: Settings, outside: Outside) -> None:
    """Let ``service`` answer with whatever keeps its deployments and records and gives it its models."""
    clock = SystemClock()
    trackers = Trackers()
    recorder = add_records(service, settings, outside, clock, [trackers])
    cache = model_cache(service, settings, outside.models)
    loading = Loading(
        cache,
        engines_of(service, settings),
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
    add_conversions(service, settings, outside, cache, deployments)
    shadows = Shadows(recorder, clock)
    predictor = Predictor(serving, recorder, guard, shadows, clock)
    monitor = Monitor(
        serving,
        incidents,
        Baselines(outside.profiles),
        outside.references,
        trackers,
        clock,
        interval_s=min(settings.resolve_interval_s, _DRIFT_INTERVAL_S),
    )
    rollouts = Rollouts(outside.deployments, outside.models, changed)
    driver = Driver(
        outside.deployments,
        serving,
        rollouts,
        guard,
        interval_s=settings.resolve_interval_s,
        doubts=[breaker_open],
        windows=monitor.last_window,
    )
    add_protocol(service, settings, clock, predictor, serving, recorder, deployments)
    service.add_servicer(
        deployments_pb2_grpc.add_DeploymentServiceServicer_to_server,
        DeploymentServicer(deployments, serving, rollbacks),
        deployments_pb2.DESCRIPTOR.services_by_name["DeploymentService"],
    )
    service.add_servicer(
        rollouts_pb2_grpc.add_RolloutServiceServicer_to_server,
        RolloutServicer(rollouts, driver),
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
    service.add_servicer(
        drift_pb2_grpc.add_DriftServiceServicer_to_server,
        DriftServicer(deployments, serving, monitor),
        drift_pb2.DESCRIPTOR.services_by_name["DriftService"],
    )
    service.metrics.registry.register(DriftCollector(serving, monitor))
    service.metrics.registry.register(GuardCollector(serving, incidents))
    service.metrics.registry.register(TrafficCollector(serving))
    service.metrics.registry.register(InferenceCollector(serving, recorder))
    service.add_check("parity", FirstLoads(serving).check)
    service.add_check("registry", outside.models.check)
    service.add_background("serving", serving.run)
    service.add_background("rollouts", driver.run)
    service.add_background("drift", monitor.run)
    service.add_background("lineage", announcer.run)
    service.add_background("incidents", incidents.run)
    service.add_background("guard", Warden(serving, guard, rollbacks, interval_s=_GUARD_INTERVAL_S).run)
    service.on_close(incidents.close)
    service.on_close(guard.close)
    service.on_close(monitor.close)
    service.on_close(recorder.close)
    service.on_close(serving.close)  # comes before those: it answers what was accepted
    service.on_close(shadows.close)  # comes first: nobody waits for copies


if __name__ == "__main__":
    run(build, Settings)

"""The registry as a process: the one place where its parts are put together."""

import datetime
import functools
from pathlib import Path

from chassis import Service, memory, run
from chassis.auth import Authenticator
from chassis.blobs import blobs_from_url, staging_from_url
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from headwater.registry.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    experiments_pb2,
    experiments_pb2_grpc,
    lineage_pb2,
    lineage_pb2_grpc,
    logged_models_pb2,
    logged_models_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    projects_pb2,
    projects_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.servicer import ArtifactServicer
from services.registry.artifacts.sources import Sources
from services.registry.collector import Collector
from services.registry.comparisons.comparing import Comparing
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.lifecycle import Lifecycle as ExperimentLifecycle
from services.registry.experiments.servicer import ExperimentServicer
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.openlineage.importing import OpenLineage
from services.registry.lineage.servicer import LineageServicer
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.logged_models.servicer import LoggedModelServicer
from services.registry.metrics.history import MetricHistory
from services.registry.models.lifecycle import Lifecycle
from services.registry.models.models import Models
from services.registry.models.servicer import ModelServicer
from services.registry.moves.aliases import Aliases
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.postgres import PostgresStore
from services.registry.projects.lifecycle import Lifecycle as ProjectLifecycle
from services.registry.projects.projects import Projects
from services.registry.projects.servicer import ProjectServicer
from services.registry.run_artifacts.run_artifacts import RunArtifacts
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.runs.changes import RunChanges
from services.registry.runs.runs import Runs
from services.registry.runs.servicer import RunServicer
from services.registry.settings import Settings
from services.registry.uploads.uploads import Uploads
from services.registry.versions.changes import VersionChanges
from services.registry.versions.inspection import Inspector
from services.registry.versions.tensors import Tensors
from services.registry.versions.versions import Versions

_SCHEMA = "registry"
_MIGRATIONS = Path(__file__).parent / "migrations"


async def build(settings: Settings) -> Service:
    """The registry, ready to start."""
    memory.return_freed()  # what hostile files make us allocate is not kept
    clock = SystemClock()
    database = Database(settings.database_url, _SCHEMA, settings.database_pool_size)
    store = PostgresStore(database)
    blobs = blobs_from_url(settings.blobs_url, _SCHEMA)

    projects = ProjectServicer(Projects(store, clock), ProjectLifecycle(store, clock))
    experiments = ExperimentServicer(Experiments(store, clock), ExperimentLifecycle(store, clock))
    runs = RunServicer(
        Runs(store, clock),
        RunChanges(store, clock),
        MetricHistory(store),
        RunArtifacts(store, clock),
        LinksOfRuns(store, clock),
        clock,
    )
    uploads = Uploads(
        store,
        blobs,
        staging_from_url(settings.blobs_url, _SCHEMA),
        clock,
        lifetime=datetime.timedelta(seconds=settings.upload_lifetime_s),
        max_bytes=settings.max_artifact_bytes,
        max_open=settings.max_open_uploads,
    )
    sources = Sources([place.strip() for place in settings.artifact_sources.split(",") if place.strip()])
    artifacts = ArtifactServicer(
        Artifacts(store, blobs, sources, clock, max_bytes=settings.max_artifact_bytes),
        uploads,
        idle_s=settings.upload_idle_s,
    )
    inspector = Inspector(blobs, settings.concurrent_inspections)
    models = ModelServicer(
        Models(store, clock),
        Lifecycle(store, clock),
        versions=Versions(store, inspector, clock),
        changes=VersionChanges(store, clock),
        tensors=Tensors(store, blobs),
        stages=Stages(store),
        aliases=Aliases(store),
        resolver=Resolver(store),
        comparing=Comparing(store),
    )
    logged_models = LoggedModelServicer(LoggedModels(store, clock), clock)
    lineage = LineageServicer(Lineages(store, clock), OpenLineage(store, clock))

    service = Service("registry", settings, auth=Authenticator.from_settings(settings.auth_key_file))
    for module, add_to_server, servicer in (
        (projects_pb2, projects_pb2_grpc.add_ProjectServiceServicer_to_server, projects),
        (experiments_pb2, experiments_pb2_grpc.add_ExperimentServiceServicer_to_server, experiments),
        (runs_pb2, runs_pb2_grpc.add_RunServiceServicer_to_server, runs),
        (artifacts_pb2, artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server, artifacts),
        (models_pb2, models_pb2_grpc.add_ModelServiceServicer_to_server, models),
        (logged_models_pb2, logged_models_pb2_grpc.add_LoggedModelServiceServicer_to_server, logged_models),
        (lineage_pb2, lineage_pb2_grpc.add_LineageServiceServicer_to_server, lineage),
    ):
        [descriptor] = module.DESCRIPTOR.services_by_name.values()
        service.add_servicer(add_to_server, servicer, descriptor)
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, _SCHEMA, _MIGRATIONS))
    service.add_check("database", database.check)
    service.add_check("blobs", blobs.check)
    service.add_background("collector", Collector(store, blobs, uploads, interval_s=settings.collect_interval_s).run)
    service.on_close(database.close)
    service.on_close(blobs.close)
    return service


if __name__ == "__main__":
    run(build, Settings)

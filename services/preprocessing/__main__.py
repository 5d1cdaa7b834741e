"""Wires the preprocessing service."""

import functools
import os
import socket
from pathlib import Path

import redis.asyncio

from chassis import Service, run
from chassis.auth import Authenticator, Role
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.db.lease import PostgresLeases
from chassis.db.migrate import migrate
from chassis.db.requests import PostgresRequests
from chassis.ids import new_id
from chassis.launchers.local import LocalLauncher
from chassis.rpc.client import channel
from headwater.preprocessing.v1 import jobs_pb2, jobs_pb2_grpc, pipelines_pb2, pipelines_pb2_grpc
from services.preprocessing.cache.tiers import StepCache
from services.preprocessing.jobs.datasets import Datasets
from services.preprocessing.jobs.execution import Execution
from services.preprocessing.jobs.jobs import Jobs
from services.preprocessing.jobs.lineage import Lineage
from services.preprocessing.jobs.postgres import PostgresJobStore
from services.preprocessing.jobs.runner import Runner, RunnerOptions
from services.preprocessing.pipelines.pipelines import Pipelines
from services.preprocessing.pipelines.postgres import PostgresPipelineStore
from services.preprocessing.servicer import CacheServicer, PipelineServicer, PreprocessingJobServicer
from services.preprocessing.settings import Settings

SCHEMA = "preprocessing"
MIGRATIONS = Path(__file__).parent / "migrations"


async def build(settings: Settings) -> Service:
    """The service, not yet started."""
    auth = Authenticator.from_settings(settings.auth_key_file)
    token = auth.token_source("service:preprocessing", [Role.WRITER])
    database = Database(settings.database_url, SCHEMA, settings.database_pool_size)
    registry = channel(settings.registry_address, token=token, settings=settings)
    dataset = channel(settings.dataset_address, token=token, settings=settings)
    shared = redis.asyncio.Redis.from_url(settings.redis_url) if settings.redis_url else None
    launcher = LocalLauncher()
    clock, requests = SystemClock(), PostgresRequests()

    cache = StepCache(settings.cache_size_bytes, shared)
    datasets = Datasets(dataset, settings.dataset_flight_address, token)
    pipelines = Pipelines(PostgresPipelineStore(database), requests, clock)
    job_store = PostgresJobStore(database)
    runner = Runner(
        job_store,
        PostgresLeases(),
        pipelines,
        datasets,
        Lineage(registry),
        Execution(datasets, cache, launcher, settings.workers),
        clock,
        RunnerOptions(
            # A new name for each start: a lease that this process held before it died must run out first.
            owner=f"{socket.gethostname()}:{os.getpid()}:{new_id()}",
            lease_s=settings.lease_s,
            max_attempts=settings.max_attempts,
            poll_interval_s=settings.poll_interval_s,
        ),
    )

    service = Service("preprocessing", settings, auth=auth)
    service.add_servicer(
        pipelines_pb2_grpc.add_PipelineServiceServicer_to_server,
        PipelineServicer(pipelines),
        pipelines_pb2.DESCRIPTOR.services_by_name["PipelineService"],
    )
    service.add_servicer(
        jobs_pb2_grpc.add_PreprocessingJobServiceServicer_to_server,
        PreprocessingJobServicer(Jobs(job_store, requests, pipelines, datasets, clock)),
        jobs_pb2.DESCRIPTOR.services_by_name["PreprocessingJobService"],
    )
    service.add_servicer(
        jobs_pb2_grpc.add_CacheServiceServicer_to_server,
        CacheServicer(cache),
        jobs_pb2.DESCRIPTOR.services_by_name["CacheService"],
    )
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, SCHEMA, MIGRATIONS))
    service.add_check("postgresql", database.check)
    service.add_background("runner", runner.run_forever)
    for close in (launcher.close, registry.close, dataset.close, database.close):
        service.on_close(close)
    if shared is not None:
        service.on_close(shared.aclose)
    return service


if __name__ == "__main__":
    run(build, Settings)

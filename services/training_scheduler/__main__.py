"""Wires the training scheduler."""

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path

from chassis import Service, run
from chassis.auth import Authenticator, current_token
from chassis.blobs import blobs_from_url
from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from chassis.ids import new_id
from chassis.launchers import Launcher, LocalLauncher, RayLauncher
from chassis.rpc.client import channel
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc, workers_pb2, workers_pb2_grpc
from services.training_scheduler.attempts.placement import Capacity
from services.training_scheduler.attempts.registry import RegistryTracking
from services.training_scheduler.attempts.scheduler import Scheduler
from services.training_scheduler.attempts.supervisor import Placement, Supervisor
from services.training_scheduler.checkpoints.checkpoints import Checkpoints
from services.training_scheduler.jobs.changes import Changes
from services.training_scheduler.jobs.jobs import Jobs
from services.training_scheduler.jobs.model import LauncherKind, TrainingJob
from services.training_scheduler.jobs.servicer import TrainingJobServicer
from services.training_scheduler.postgres import PostgresStore
from services.training_scheduler.settings import Settings
from services.training_scheduler.workers.servicer import TrainingWorkerServicer
from services.training_scheduler.workers.tokens import JobTokens
from services.training_scheduler.workers.workers import Workers

_SCHEMA = "training_scheduler"
_MIGRATIONS = Path(__file__).with_name("migrations")


async def build(settings: Settings) -> Service:
    """The service on PostgreSQL, blobs and launchers that the settings name, not yet started."""
    auth = Authenticator.from_settings(settings.auth_key_file)
    service = Service("training_scheduler", settings, auth=auth)
    database = Database(settings.database_url, _SCHEMA, settings.database_pool_size)
    blobs = blobs_from_url(settings.blobs_url, _SCHEMA)
    registry = channel(settings.registry_address, token=current_token, settings=settings)
    datasets = channel(settings.dataset_address, token=current_token, settings=settings)
    launchers = _launchers(settings)
    store, clock, changes = PostgresStore(database), SystemClock(), Changes(settings.redis_url)
    tracking = RegistryTracking(registry, datasets, auth)
    tokens = JobTokens(auth, settings.job_credentials_ttl_s)
    checkpoints = Checkpoints(
        store, blobs, changes, clock, keep=settings.checkpoints_kept, max_bytes=settings.max_checkpoint_bytes
    )
    placement = Placement(
        launchers=launchers,
        directory=settings.training_dir,
        environment=lambda job: _environment(job, tokens, settings, service.address),
        stop_grace_s=settings.stop_grace_s,
        log_max_bytes=settings.log_max_bytes,
    )
    capacities = _capacities(settings)
    scheduler = Scheduler(
        new_id(),
        store=store,
        changes=changes,
        supervisor=Supervisor(tracking, placement, clock),
        capacities=capacities,
        lease_s=settings.lease_s,
        poll_s=settings.poll_s,
    )
    jobs = Jobs(
        store,
        catalog=tracking,
        capacities=capacities,
        changes=changes,
        clock=clock,
        poll_s=settings.poll_s,
        draining=service.draining,
    )
    service.add_servicer(
        jobs_pb2_grpc.add_TrainingJobServiceServicer_to_server,
        TrainingJobServicer(jobs),
        jobs_pb2.DESCRIPTOR.services_by_name["TrainingJobService"],
    )
    service.add_servicer(
        workers_pb2_grpc.add_TrainingWorkerServiceServicer_to_server,
        TrainingWorkerServicer(Workers(store, changes), checkpoints, tokens),
        workers_pb2.DESCRIPTOR.services_by_name["TrainingWorkerService"],
    )
    service.add_preparation("migrations", functools.partial(migrate, settings.database_url, _SCHEMA, _MIGRATIONS))
    service.add_check("postgresql", database.check)
    service.add_check("blobs", blobs.check)
    service.add_background("scheduler", scheduler.run)
    service.add_background("word from other processes", changes.relay)
    service.add_background("collector", lambda: _collect(checkpoints, store, settings.collect_interval_s))
    for close in (database.close, blobs.close, changes.close, registry.close, datasets.close):
        service.on_close(close)
    for launcher in launchers.values():
        service.on_close(launcher.close)
    return service


def _launchers(settings: Settings) -> dict[LauncherKind, Launcher]:
    launchers: dict[LauncherKind, Launcher] = {LauncherKind.LOCAL: LocalLauncher()}
    if settings.ray_address:
        launchers[LauncherKind.RAY] = RayLauncher("" if settings.ray_address == "local" else settings.ray_address)
    return launchers


def _capacities(settings: Settings) -> dict[LauncherKind, Capacity]:
    local = Capacity(settings.local_workers, settings.local_cpus, settings.local_memory_bytes, settings.local_gpus)
    capacities = {LauncherKind.LOCAL: local}
    if settings.ray_address:
        # What a worker may be is for the cluster to say, which may grow; only the number of workers is ours.
        unlimited = 2**62
        capacities[LauncherKind.RAY] = Capacity(settings.ray_workers, unlimited, unlimited, unlimited)
    return capacities


def _environment(job: TrainingJob, tokens: JobTokens, settings: Settings, own_address: str) -> Mapping[str, str]:
    return {
        "HEADWATER_JOB": job.name,
        "HEADWATER_FENCING_TOKEN": str(job.fencing_token),
        "HEADWATER_TOKEN": tokens.of(job.id),
        "HEADWATER_TRAINING_ADDRESS": settings.worker_training_address or own_address,
        "HEADWATER_REGISTRY_ADDRESS": settings.registry_address,
        "HEADWATER_DATASET_ADDRESS": settings.dataset_address,
        "HEADWATER_DATASET_FLIGHT_ADDRESS": settings.dataset_flight_address,
    }


async def _collect(checkpoints: Checkpoints, store: PostgresStore, interval_s: float) -> None:
    while True:
        await checkpoints.collect()
        await store.forget_expired_requests()
        await asyncio.sleep(interval_s)


if __name__ == "__main__":
    run(build, Settings)

"""Promise 6: an accepted job reaches exactly one terminal state, whatever becomes of its scheduler.

Two scheduler processes share one database; the one that has the job is stopped past its lease, or killed. Its workers
log their fencing token with every epoch, so that it can be told afterwards whose word was kept.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc.aio
import psutil
import pytest

from chassis.auth import Role
from chassis.testing import Connect, StartService, TokenFor
from headwater import digests
from headwater.errors import Aborted
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from headwater.training.v1 import jobs_pb2, workers_pb2, workers_pb2_grpc
from tests.integration.training.platform import Platform, start_platform, workers_of, write_code

ROOT = Path(__file__).parents[2]
EPOCHS = 12
SCRIPT = f"""
import os, time, torch
import headwater.training

with headwater.training.session() as session:
    model = torch.nn.Linear(1, 1)
    restored = session.load_checkpoint(model)
    token = int(os.environ["HEADWATER_FENCING_TOKEN"])
    for epoch in range(restored.epoch if restored else 0, {EPOCHS}):
        time.sleep(60 if token == 1 and epoch == 3 else 0.2)  # the first attempt does not come to its end
        session.log_metrics({{"token": token}}, step=epoch)
        session.report_progress(epoch=epoch, epoch_count={EPOCHS}, step=epoch)
        session.save_checkpoint(model, epoch=epoch + 1, step=epoch + 1)
"""


@dataclasses.dataclass
class Scheduler:
    """A scheduler process."""

    process: psutil.Popen
    address: str


StartScheduler = Callable[[Mapping[str, str]], Awaitable[Scheduler]]


@pytest.fixture
def lease_s() -> str:
    """How long the schedulers' leases last; ``parametrize("lease_s", …)`` changes it."""
    return "2"


@pytest.fixture
def start_scheduler(
    postgres_url: str, redis_url: str, auth_key_file: Path, blobs_dir: Path, tmp_path: Path, lease_s: str
) -> Iterator[StartScheduler]:
    """A function that starts scheduler processes; they are killed after the test with all that they started."""
    started: list[psutil.Popen] = []

    async def start(addresses: Mapping[str, str]) -> Scheduler:
        directory = tmp_path / f"scheduler-{len(started)}"
        directory.mkdir()
        settings = {
            "port": "0",
            "admin_port": "0",
            "database_url": postgres_url,
            "redis_url": redis_url,
            "auth_key_file": str(auth_key_file),
            "blobs_url": blobs_dir.as_uri(),
            "training_dir": str(directory),
            "lease_s": lease_s,
            "poll_s": "0.5",
            "stop_grace_s": "1",
            "grace_s": "1",
            **addresses,
        }
        environment = {f"HEADWATER_{key.upper()}": value for key, value in settings.items()}
        command = [sys.executable, "-m", "services.training_scheduler"]
        log = directory / "log"
        with log.open("wb") as file:
            started.append(psutil.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stderr=file))
        return Scheduler(started[-1], await _address(log))

    yield start
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            for member in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait()


async def _address(log: Path) -> str:
    """Where the process that writes ``log`` answers gRPC, once it does."""
    async with asyncio.timeout(60):
        while True:
            for line in (await asyncio.to_thread(log.read_text)).splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry["event"] == "listening":
                        return str(entry["address"])
            await asyncio.sleep(0.1)


@dataclasses.dataclass
class Takeover:
    """A job under way on the first scheduler, and the second one waiting."""

    platform: Platform
    first: Scheduler
    second: Scheduler
    job: jobs_pb2.TrainingJob


@pytest.fixture
async def takeover(
    start_service: StartService, token_for: TokenFor, connect: Connect, start_scheduler: StartScheduler, tmp_path: Path
) -> AsyncIterator[Takeover]:
    """The job has a checkpoint; from here on the test's calls go to the second scheduler."""
    schedulers: list[Scheduler] = []
    known: dict[str, str] = {}

    async def start(addresses: Mapping[str, str]) -> str:
        known.update(addresses)
        schedulers.append(await start_scheduler(addresses))
        return schedulers[0].address

    async with start_platform(start_service, token_for, connect, start) as platform:
        code = await platform.upload(write_code(tmp_path, SCRIPT))
        job = await platform.submit(code)
        job = await platform.until(job.name, lambda job: job.checkpoint.epoch >= 2)
        schedulers.append(await start_scheduler(known))
        platform.channels["training"] = connect(schedulers[1].address, Role.WRITER)
        first, second = schedulers
        yield Takeover(platform, first, second, job)


@pytest.mark.timeout(240)
async def test_a_scheduler_stopped_past_its_lease_loses_the_job_and_its_workers_words_are_refused(
    takeover: Takeover, connect: Connect
) -> None:
    platform, job = takeover.platform, takeover.job
    (stale,) = workers_of(job.name).values()
    takeover.first.process.send_signal(signal.SIGSTOP)
    resumed = await platform.until(job.name, lambda job: job.attempt_count == 2)
    resumed_from = resumed.checkpoint.epoch
    assert resumed_from >= 2

    await _stale_words_are_refused(connect(takeover.second.address, Role.ADMIN), job.name)
    takeover.first.process.send_signal(signal.SIGCONT)
    ended = await platform.end(job.name)
    assert ended.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, ended.failure
    assert ended.attempt_count == 2
    assert ended.checkpoint.epoch == EPOCHS
    await asyncio.to_thread(stale.wait, 10)

    tokens = await _tokens(platform, ended.run)
    assert [epoch for epoch, token in tokens if token == 2] == list(range(resumed_from, EPOCHS))
    await asyncio.sleep(3)  # longer than the lease: nobody takes up what has ended
    assert await platform.jobs.GetTrainingJob(jobs_pb2.GetTrainingJobRequest(name=job.name)) == ended
    assert takeover.first.process.is_running()
    assert workers_of(job.name) == {}


@pytest.mark.timeout(240)
async def test_a_killed_scheduler_takes_its_workers_along_and_another_one_resumes_the_job(takeover: Takeover) -> None:
    platform, job = takeover.platform, takeover.job
    (worker,) = workers_of(job.name).values()
    takeover.first.process.kill()
    ended = await platform.end(job.name)
    assert ended.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, ended.failure
    assert ended.attempt_count == 2
    assert ended.checkpoint.epoch == EPOCHS
    assert {epoch for epoch, _ in await _tokens(platform, ended.run)} == set(range(EPOCHS))
    assert not worker.is_running()


@pytest.mark.parametrize("lease_s", ["3600"])
@pytest.mark.timeout(240)
async def test_a_scheduler_that_is_told_to_end_hands_its_jobs_over_at_once(takeover: Takeover) -> None:
    """Promise 10, for work that lasts longer than any grace time: nobody waits for the lease to run out."""
    platform, job = takeover.platform, takeover.job
    takeover.first.process.terminate()
    assert await asyncio.to_thread(takeover.first.process.wait, 20) == 0
    ended = await platform.end(job.name)
    assert ended.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, ended.failure
    assert ended.attempt_count == 2


async def _stale_words_are_refused(channel: grpc.aio.Channel, job: str) -> None:
    stub: Any = workers_pb2_grpc.TrainingWorkerServiceStub(channel)
    worker = workers_pb2.WorkerIdentity(job=job, fencing_token=1)
    progress = jobs_pb2.Progress(epoch=99, epoch_count=99)
    with pytest.raises(Aborted) as refused:
        await stub.ReportProgress(workers_pb2.ReportProgressRequest(worker=worker, progress=progress))
    assert refused.value.reason == "STALE_ATTEMPT"
    checkpoint = jobs_pb2.Checkpoint(epoch=99, step=99, digest=digests.of_bytes(b"x"), size_bytes=1)
    header = workers_pb2.UploadCheckpointHeader(worker=worker, checkpoint=checkpoint)
    messages = [workers_pb2.UploadCheckpointRequest(header=header), workers_pb2.UploadCheckpointRequest(data=b"x")]
    with pytest.raises(Aborted) as refused:
        await stub.UploadCheckpoint(iter(messages))
    assert refused.value.reason == "STALE_ATTEMPT"


async def _tokens(platform: Platform, run: str) -> list[tuple[int, int]]:
    """By epoch, the fencing tokens that were logged."""
    stub: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    request = runs_pb2.ListMetricPointsRequest(name=run, key="token", page_size=1000)
    return [(point.step, int(point.value)) for point in (await stub.ListMetricPoints(request)).points]

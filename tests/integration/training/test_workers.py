"""What workers send to a scheduler, over gRPC: a job that runs elsewhere, so that the test is its only worker."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from safetensors.numpy import save

from chassis.auth import Role
from chassis.blobs import blobs_from_url
from chassis.db.engine import Database
from chassis.rpc.client import channel
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.testing import Connect, StartService, TokenFor
from headwater import digests
from headwater.errors import Aborted, HeadwaterError, InvalidArgument, NotFound, PermissionDenied, Unavailable
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc, workers_pb2, workers_pb2_grpc
from services.training_scheduler.__main__ import build
from services.training_scheduler.jobs.model import LauncherKind, State, TrainingJob
from services.training_scheduler.postgres import PostgresStore
from services.training_scheduler.settings import Settings
from tests.unit.training.jobs import job as a_job
from tests.unit.training.jobs import spec

TOKEN = 5
NAME = "projects/default/trainingJobs/job-1"


@dataclasses.dataclass
class Worker:
    """The only worker of a running job."""

    scheduler: Service
    store: PostgresStore
    stub: Any
    jobs: Any
    identity: workers_pb2.WorkerIdentity

    async def upload(self, content: bytes, *parts: bytes, **header: Any) -> jobs_pb2.Checkpoint:
        """Upload ``parts`` (or else ``content``) under a header that fits ``content`` but for ``header``."""
        values = {"epoch": 1, "step": 1, "digest": digests.of_bytes(content), "size_bytes": len(content), **header}
        checkpoint = jobs_pb2.Checkpoint(**values)
        messages = [
            workers_pb2.UploadCheckpointRequest(
                header=workers_pb2.UploadCheckpointHeader(worker=self.identity, checkpoint=checkpoint)
            ),
            *(workers_pb2.UploadCheckpointRequest(data=part) for part in parts or (content,)),
        ]
        answer: jobs_pb2.Checkpoint = await self.stub.UploadCheckpoint(iter(messages))
        return answer

    async def download(self) -> bytes:
        """The newest checkpoint."""
        request = workers_pb2.DownloadCheckpointRequest(worker=self.identity)
        return b"".join([response.data async for response in self.stub.DownloadCheckpoint(request)])

    async def job(self) -> TrainingJob:
        """The job as it is stored."""
        async with self.store.transaction() as tx:
            return await tx.jobs.get("job-1")


@pytest.fixture
def scheduler_settings() -> dict[str, Any]:
    """Settings of the scheduler."""
    return {}


@pytest.fixture
async def worker(
    start_service: StartService,
    connect: Connect,
    token_for: TokenFor,
    postgres_url: str,
    tmp_path: Path,
    scheduler_settings: dict[str, Any],
) -> AsyncIterator[Worker]:
    """A worker of a job on a launcher that this scheduler does not have: it will leave it alone."""
    settings = {"training_dir": tmp_path, "collect_interval_s": 0.2, "poll_s": 0.5, **scheduler_settings}
    scheduler = await start_service(build, Settings, **settings)
    database = Database(postgres_url, "training_scheduler")
    store = PostgresStore(database)
    async with store.transaction() as tx:
        elsewhere = spec(launcher=LauncherKind.RAY, parameters={"epochs": 3.0})
        await tx.jobs.add(a_job(spec=elsewhere, state=State.RUNNING, fencing_token=TOKEN, started_token=TOKEN))
    token = token_for(Role.WRITER, subject="trainingJobs/job-1", ttl_s=600)
    own = channel(scheduler.address, token=lambda: token, settings=ServiceSettings())
    yield Worker(
        scheduler,
        store,
        workers_pb2_grpc.TrainingWorkerServiceStub(own),
        jobs_pb2_grpc.TrainingJobServiceStub(connect(scheduler.address, Role.READER)),
        workers_pb2.WorkerIdentity(job=NAME, fencing_token=TOKEN),
    )
    await own.close()
    await database.close()


def tensors(seed: int, size: int = 1000) -> bytes:
    """A safetensors file."""
    return save({"weights": np.random.default_rng(seed).random(size)})


def crafted(header: dict[str, Any], data: bytes) -> bytes:
    """A file in the form of safetensors with any header."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def stored_files(directory: Path) -> int:
    """How many blobs there are."""
    return len([path for path in directory.rglob("*") if path.is_file()])


async def test_a_saved_checkpoint_is_what_the_next_one_resumes_from(worker: Worker) -> None:
    content = tensors(1, size=400_000)
    pieces = [content[start : start + 2**20] for start in range(0, len(content), 2**20)]
    saved = await worker.upload(content, *pieces, epoch=2, step=30)
    assert (saved.epoch, saved.step, saved.digest) == (2, 30, digests.of_bytes(content))
    assignment = await worker.stub.GetAssignment(workers_pb2.GetAssignmentRequest(worker=worker.identity))
    assert assignment.checkpoint == saved
    assert assignment.parameters["epochs"].number_value == 3
    assert await worker.download() == content


async def test_without_a_checkpoint_there_is_nothing_to_resume_from(worker: Worker) -> None:
    with pytest.raises(NotFound) as refused:
        await worker.download()
    assert refused.value.reason == "CHECKPOINT_NOT_FOUND"


async def test_saving_again_gives_the_same_answer_and_keeps_the_older_ones(worker: Worker, blobs_dir: Path) -> None:
    """Promise 4: the answer was lost."""
    for number in range(3):
        await worker.upload(tensors(number), epoch=number, step=number)
    first = await worker.upload(tensors(3), epoch=3, step=3)
    for _ in range(3):
        assert await worker.upload(tensors(3), epoch=3, step=3) == first
    await until(lambda: stored_files(blobs_dir), 3)


async def test_the_newest_are_kept_and_the_rest_is_collected(worker: Worker, blobs_dir: Path) -> None:
    for number in range(6):
        await worker.upload(tensors(number), epoch=number, step=number)
    await until(lambda: stored_files(blobs_dir), 3)
    assert await worker.download() == tensors(5)
    blobs = blobs_from_url(blobs_dir.as_uri(), "training_scheduler")
    for number in range(6):
        assert await blobs.exists(digests.of_bytes(tensors(number))) == (number > 2)


async def test_bytes_that_are_not_what_they_should_be_are_refused_and_collected(
    worker: Worker, blobs_dir: Path
) -> None:
    good = tensors(1)
    await worker.upload(good)
    pickle = b"\x80\x04\x95" + bytes(100)
    holed = crafted({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8))
    overflowing = crafted({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, bytes(8))
    for content, changes, reason in (
        (good, {"digest": digests.of_bytes(b"other"), "epoch": 2}, "DIGEST_MISMATCH"),
        (good, {"size_bytes": len(good) - 1, "epoch": 2}, "INVALID_CHECKPOINT"),
        (good, {"size_bytes": len(good) + 1, "epoch": 2}, "INVALID_CHECKPOINT"),
        (good, {"size_bytes": 2**60, "epoch": 2}, "INVALID_CHECKPOINT"),
        (good, {"digest": "", "epoch": 2}, "INVALID_CHECKPOINT"),
        (pickle, {}, "INVALID_CHECKPOINT"),
        (holed, {}, "INVALID_CHECKPOINT"),
        (overflowing, {}, "INVALID_CHECKPOINT"),
        (good[:-1], {}, "INVALID_CHECKPOINT"),
        ((2**62).to_bytes(8, "little") + b"{}", {}, "INVALID_CHECKPOINT"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await worker.upload(content, **changes)
        assert refused.value.reason == reason, changes
    assert (await worker.job()).checkpoint is not None
    assert await worker.download() == good
    await until(lambda: stored_files(blobs_dir), 1)


async def test_an_upload_that_is_cut_off_leaves_nothing(worker: Worker, blobs_dir: Path) -> None:
    """Promise 2."""
    content = tensors(1, size=500_000)
    header = workers_pb2.UploadCheckpointHeader(
        worker=worker.identity,
        checkpoint=jobs_pb2.Checkpoint(digest=digests.of_bytes(content), size_bytes=len(content)),
    )
    for share in (1, 50, 99):
        call = worker.stub.UploadCheckpoint()
        await call.write(workers_pb2.UploadCheckpointRequest(header=header))
        await call.write(workers_pb2.UploadCheckpointRequest(data=content[: len(content) * share // 100]))
        call.cancel()
        with contextlib.suppress(grpc.RpcError, HeadwaterError, asyncio.CancelledError):
            await call
    await until(lambda: stored_files(blobs_dir), 0)
    assert (await worker.job()).checkpoint is None


async def test_a_stale_worker_s_checkpoint_is_not_kept_even_if_it_began_in_time(
    worker: Worker, blobs_dir: Path
) -> None:
    """Promise 6: the fence is checked again in the transaction that commits."""
    content = tensors(1)

    async def slowly() -> AsyncIterator[workers_pb2.UploadCheckpointRequest]:
        checkpoint = jobs_pb2.Checkpoint(digest=digests.of_bytes(content), size_bytes=len(content))
        header = workers_pb2.UploadCheckpointHeader(worker=worker.identity, checkpoint=checkpoint)
        yield workers_pb2.UploadCheckpointRequest(header=header)
        await asyncio.sleep(0.3)
        async with worker.store.transaction() as tx:
            job = await tx.jobs.get("job-1", lock=True)
            await tx.jobs.save(dataclasses.replace(job, fencing_token=TOKEN + 1))
        yield workers_pb2.UploadCheckpointRequest(data=content)

    with pytest.raises(Aborted) as refused:
        await worker.stub.UploadCheckpoint(slowly())
    assert refused.value.reason == "STALE_ATTEMPT"
    assert (await worker.job()).checkpoint is None
    await until(lambda: stored_files(blobs_dir), 0)


async def test_progress_comes_from_the_first_worker_and_reaches_who_watches(worker: Worker) -> None:
    seen: asyncio.Queue[jobs_pb2.TrainingJob] = asyncio.Queue()

    async def watch() -> None:
        async for job in worker.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=NAME)):
            seen.put_nowait(job)

    watching = asyncio.create_task(watch())
    assert (await seen.get()).progress.step == 0
    other = workers_pb2.WorkerIdentity(job=NAME, fencing_token=TOKEN, rank=1)
    for identity, step in ((other, 77), (worker.identity, 1), (worker.identity, 2)):
        progress = jobs_pb2.Progress(step=step, metrics={"train/loss": float("nan")})
        await worker.stub.ReportProgress(workers_pb2.ReportProgressRequest(worker=identity, progress=progress))
    async with asyncio.timeout(5):
        while (job := await seen.get()).progress.step != 2:
            assert job.progress.step == 1
    watching.cancel()


@pytest.mark.parametrize("scheduler_settings", [{"redis_url": "redis://127.0.0.1:1/0"}, {"redis_url": ""}], ids=str)
async def test_without_redis_who_watches_still_sees_every_end(worker: Worker) -> None:
    """Promise 7. The change is written behind this process's back, so that only looking can find it."""
    first = asyncio.Event()

    async def watch() -> jobs_pb2.TrainingJob:
        last = jobs_pb2.TrainingJob()
        async for job in worker.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=NAME)):
            first.set()
            last = job
        return last

    watching = asyncio.create_task(watch())
    await first.wait()
    async with worker.store.transaction() as tx:
        job = (await tx.jobs.get("job-1", lock=True)).decided(State.FAILED)
        await tx.jobs.save(job.ended_as(State.FAILED, job.create_time))
    async with asyncio.timeout(5):
        assert (await watching).state == jobs_pb2.TrainingJob.STATE_FAILED


async def test_who_watches_is_told_when_the_scheduler_stops(worker: Worker) -> None:
    """Promise 10: a stream without an end does not use up the grace time."""
    watch = worker.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=NAME))
    await watch.read()
    stopping = asyncio.create_task(worker.scheduler.stop())
    async with asyncio.timeout(5):
        with pytest.raises(Unavailable) as told:
            await watch.read()
    assert told.value.reason == "SCHEDULER_STOPPING"
    await stopping


async def test_nobody_but_the_job_s_own_workers_may_report(worker: Worker, connect: Connect) -> None:
    stranger: Any = workers_pb2_grpc.TrainingWorkerServiceStub(connect(worker.scheduler.address, Role.WRITER))
    with pytest.raises(PermissionDenied):
        await stranger.GetAssignment(workers_pb2.GetAssignmentRequest(worker=worker.identity))


async def test_a_worker_s_token_is_replaced_before_it_ends(worker: Worker, connect: Connect) -> None:
    """The one that the test made is not the scheduler's present one, so the scheduler gives its own."""
    request = workers_pb2.ReportProgressRequest(worker=worker.identity, progress=jobs_pb2.Progress())
    renewed = (await worker.stub.ReportProgress(request)).token
    with_it = channel(worker.scheduler.address, token=lambda: renewed, settings=ServiceSettings())
    stub: Any = workers_pb2_grpc.TrainingWorkerServiceStub(with_it)
    assert (await stub.ReportProgress(request)).token == ""
    await with_it.close()


@pytest.mark.parametrize(
    "files",
    [
        [],
        [("../model.onnx", "0" * 64)],
        [("/model.onnx", "0" * 64)],
        [("model.onnx", "0" * 64), ("model.onnx", "1" * 64)],
        [("model.onnx", "..")],
    ],
    ids=str,
)
async def test_a_result_that_no_model_version_can_be_is_refused_at_once(
    worker: Worker, files: list[tuple[str, str]]
) -> None:
    result = jobs_pb2.TrainingResult(
        files=[jobs_pb2.ResultFile(path=path, artifact=f"projects/default/artifacts/{hex_}") for path, hex_ in files]
    )
    with pytest.raises(InvalidArgument):
        await worker.stub.ReportResult(workers_pb2.ReportResultRequest(worker=worker.identity, result=result))
    assert (await worker.job()).result is None


async def until(count: Callable[[], int], expected: int) -> None:
    """Wait until ``count()`` is ``expected``, as it will be when the collector has been round."""
    async with asyncio.timeout(10):
        while await asyncio.to_thread(count) != expected:
            await asyncio.sleep(0.05)

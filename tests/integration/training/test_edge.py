"""What the scheduler's edge refuses, and that nothing is kept of it."""

import asyncio
import math
from typing import Any

import grpc.aio
import pytest
from google.protobuf import struct_pb2

from chassis.auth import Role
from chassis.testing import Connect
from headwater import digests
from headwater.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    HeadwaterError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
)
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc, workers_pb2, workers_pb2_grpc
from tests.integration.training.conftest import Folder
from tests.integration.training.platform import Platform

NOWHERE = f"projects/default/artifacts/{'0' * 64}"

IMPOSSIBLE: list[tuple[dict[str, Any], type[HeadwaterError], str]] = [
    ({"dataset_version": "projects/default/datasets/small/versions/v9.0.0"}, NotFound, ""),
    ({"dataset_version": "projects/default/datasets/nothing/versions/v1.0.0"}, NotFound, ""),
    ({"dataset_version": "../small"}, InvalidArgument, "INVALID_NAME"),
    ({"code": NOWHERE}, NotFound, ""),
    ({"code": "projects/default/artifacts/.."}, InvalidArgument, "INVALID_NAME"),
    ({"command": []}, InvalidArgument, ""),
    ({"command": ["/bin/sh", "-c", "id"]}, InvalidArgument, "INVALID_TRAINING_SPEC"),
    ({"command": ["train.py", "a\0b"]}, InvalidArgument, ""),
    ({"worker_count": 0}, InvalidArgument, ""),
    ({"worker_count": -1}, InvalidArgument, ""),
    ({"worker_count": 3}, InvalidArgument, "RESOURCES_IMPOSSIBLE"),
    ({"worker_count": 2**31 - 1}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(cpus=-1)}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(cpus=math.nan)}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(cpus=math.inf)}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(cpus=1e12)}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(cpus=4000)}, InvalidArgument, "RESOURCES_IMPOSSIBLE"),
    ({"resources": jobs_pb2.Resources(memory_bytes=10**14)}, InvalidArgument, "RESOURCES_IMPOSSIBLE"),
    ({"resources": jobs_pb2.Resources(memory_bytes=-1)}, InvalidArgument, ""),
    ({"resources": jobs_pb2.Resources(gpus=1)}, InvalidArgument, "RESOURCES_IMPOSSIBLE"),
    ({"launcher": jobs_pb2.TrainingSpec.LAUNCHER_RAY}, FailedPrecondition, "LAUNCHER_NOT_CONFIGURED"),
    ({"launcher": 77}, InvalidArgument, ""),
    ({"max_restarts": -1}, InvalidArgument, ""),
    ({"model": "projects/other/models/m"}, InvalidArgument, "INVALID_TRAINING_SPEC"),
    ({"model": "m"}, InvalidArgument, "INVALID_NAME"),
    ({"parameters": {"a": struct_pb2.Value(number_value=math.nan)}}, InvalidArgument, "INVALID_TRAINING_SPEC"),
    ({"parameters": {"a": struct_pb2.Value()}}, InvalidArgument, "INVALID_TRAINING_SPEC"),
    ({"parameters": {"a": struct_pb2.Value(string_value="\0")}}, InvalidArgument, ""),
]


@pytest.fixture
async def code(platform: Platform, folder: Folder) -> str:
    """Code that exists and does nothing."""
    return await platform.upload(folder("pass\n"))


def create(platform: Platform, known: str, **changes: Any) -> jobs_pb2.CreateTrainingJobRequest:
    possible: dict[str, Any] = {
        "dataset_version": platform.dataset_version,
        "code": known,
        "command": ["train.py"],
        "worker_count": 1,
    }
    return jobs_pb2.CreateTrainingJobRequest(
        parent="projects/default", spec=jobs_pb2.TrainingSpec(**possible | changes), request_id="request"
    )


async def test_a_job_that_can_never_run_is_refused_with_its_reason_and_not_listed(
    platform: Platform, code: str
) -> None:
    for changes, error, reason in IMPOSSIBLE:
        with pytest.raises(error) as refused:
            await platform.jobs.CreateTrainingJob(create(platform, code, **changes))
        assert type(refused.value) is error, changes
        assert refused.value.reason == reason or not reason, changes
        assert refused.value.trace_id
    response = await platform.jobs.ListTrainingJobs(jobs_pb2.ListTrainingJobsRequest(parent="projects/default"))
    assert not response.training_jobs


async def test_asking_again_with_the_same_id_gives_the_same_job(platform: Platform, code: str) -> None:
    """Promise 4."""
    request = create(platform, code)
    answers = await asyncio.gather(*(platform.jobs.CreateTrainingJob(request) for _ in range(5)))
    assert len({job.name for job in answers}) == 1
    request.spec.max_restarts = 1
    with pytest.raises(AlreadyExists) as refused:
        await platform.jobs.CreateTrainingJob(request)
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_jobs_are_listed_newest_first_page_by_page(platform: Platform, code: str) -> None:
    for number in range(5):
        request = create(platform, code)
        request.request_id, request.display_name = str(number), str(number)
        await platform.jobs.CreateTrainingJob(request)
    names, token = [], ""
    while True:
        page = await platform.jobs.ListTrainingJobs(
            jobs_pb2.ListTrainingJobsRequest(parent="projects/default", page_size=2, page_token=token)
        )
        names += [job.display_name for job in page.training_jobs]
        token = page.next_page_token
        if not token:
            break
    assert names == ["4", "3", "2", "1", "0"]
    with pytest.raises(InvalidArgument, match="page token"):
        await platform.jobs.ListTrainingJobs(
            jobs_pb2.ListTrainingJobsRequest(parent="projects/default", page_token="nonsense")
        )


async def test_a_job_is_found_only_under_its_own_name(platform: Platform, code: str) -> None:
    job = await platform.jobs.CreateTrainingJob(create(platform, code))
    stranger = job.name.replace("default", "other")
    for name, error in ((stranger, NotFound), (f"{job.name}0", NotFound), ("..", InvalidArgument)):
        for method, request in (
            (platform.jobs.GetTrainingJob, jobs_pb2.GetTrainingJobRequest(name=name)),
            (platform.jobs.CancelTrainingJob, jobs_pb2.CancelTrainingJobRequest(name=name)),
        ):
            with pytest.raises(error):
                await method(request)
        with pytest.raises(error):
            async for _ in platform.jobs.WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=name)):
                pass


async def test_a_reader_may_look_and_nothing_else(platform: Platform, code: str, connect: Connect) -> None:
    job = await platform.jobs.CreateTrainingJob(create(platform, code))
    reader: Any = jobs_pb2_grpc.TrainingJobServiceStub(connect(platform.connection.endpoints.training, Role.READER))
    assert (await reader.GetTrainingJob(jobs_pb2.GetTrainingJobRequest(name=job.name))).name == job.name
    with pytest.raises(PermissionDenied):
        await reader.CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=job.name))
    with pytest.raises(PermissionDenied):
        await reader.CreateTrainingJob(create(platform, code))


async def test_only_a_job_s_own_present_workers_report_for_it(platform: Platform, code: str, connect: Connect) -> None:
    """Promise 6: an administrator's call passes the door here, so that the fence itself is tried."""
    job = await platform.jobs.CreateTrainingJob(create(platform, code))
    await platform.end(job.name)
    calls: list[tuple[str, Any, dict[str, Any]]] = [
        ("GetAssignment", workers_pb2.GetAssignmentRequest, {}),
        ("ReportProgress", workers_pb2.ReportProgressRequest, {"progress": jobs_pb2.Progress(epoch=99)}),
        ("ReportResult", workers_pb2.ReportResultRequest, {"result": a_result()}),
    ]
    for roles, error, reason in (
        ((Role.WRITER,), PermissionDenied, "PERMISSION_DENIED"),
        ((Role.ADMIN,), Aborted, "STALE_ATTEMPT"),
    ):
        channel = connect(platform.connection.endpoints.training, *roles)
        worker = workers_pb2.WorkerIdentity(job=job.name, fencing_token=1)
        stub: Any = workers_pb2_grpc.TrainingWorkerServiceStub(channel)
        for method, request, fields in calls:
            with pytest.raises(error) as refused:
                await getattr(stub, method)(request(worker=worker, **fields))
            assert refused.value.reason == reason
        with pytest.raises(error):
            await upload(channel, worker, b"bytes")
        with pytest.raises(error):
            async for _ in stub.DownloadCheckpoint(workers_pb2.DownloadCheckpointRequest(worker=worker)):
                pass
    after = await platform.jobs.GetTrainingJob(jobs_pb2.GetTrainingJobRequest(name=job.name))
    assert after.progress.epoch == 0
    assert not after.HasField("checkpoint")


def a_result() -> jobs_pb2.TrainingResult:
    return jobs_pb2.TrainingResult(files=[jobs_pb2.ResultFile(path="model.onnx", artifact=NOWHERE)])


async def upload(channel: grpc.aio.Channel, worker: workers_pb2.WorkerIdentity, content: bytes) -> Any:
    checkpoint = jobs_pb2.Checkpoint(epoch=1, step=1, digest=digests.of_bytes(content), size_bytes=len(content))
    header = workers_pb2.UploadCheckpointHeader(worker=worker, checkpoint=checkpoint)
    messages = [workers_pb2.UploadCheckpointRequest(header=header), workers_pb2.UploadCheckpointRequest(data=content)]
    stub: Any = workers_pb2_grpc.TrainingWorkerServiceStub(channel)
    return await stub.UploadCheckpoint(iter(messages))

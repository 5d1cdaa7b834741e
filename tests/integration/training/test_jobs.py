"""Training jobs from submission to model version, on real services and real worker processes."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from chassis.blobs import blobs_from_url
from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc, models_pb2, models_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.training import checkpoint
from headwater.training.v1 import jobs_pb2
from tests.integration.training.conftest import Folder
from tests.integration.training.platform import Platform, workers_of

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "digits"
EPOCHS = 6
PARAMETERS = {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 0.01}
STEPS = EPOCHS * 64 // 2 // 4


async def run_of(platform: Platform, job: jobs_pb2.TrainingJob) -> artifact_pb2.Run:
    stub: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    run: artifact_pb2.Run = await stub.GetRun(runs_pb2.GetRunRequest(name=job.run))
    return run


async def loss_steps(platform: Platform, run: str) -> list[int]:
    stub: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    request = runs_pb2.ListMetricPointsRequest(name=run, key="train/loss", page_size=1000)
    return [point.step for point in (await stub.ListMetricPoints(request)).points]


@pytest.mark.timeout(240)
async def test_the_example_trains_on_two_workers_and_registers_a_model_version(platform: Platform) -> None:
    code = await platform.upload(EXAMPLE)
    submitted = await platform.submit(code, worker_count=2, model="small", parameters=PARAMETERS)
    assert submitted.state == jobs_pb2.TrainingJob.STATE_PENDING
    job = await platform.end(submitted.name)
    assert job.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, job.failure
    assert job.attempt_count == 1
    assert job.progress.epoch == job.progress.epoch_count == job.checkpoint.epoch == EPOCHS
    assert job.progress.step == job.checkpoint.step == STEPS
    assert job.progress.metrics["test/accuracy"] == 1.0

    run = await run_of(platform, job)
    assert run.state == artifact_pb2.Run.STATE_SUCCEEDED
    assert run.job == job.name
    assert run.created_by == job.created_by == "tester"
    assert run.parameters["epochs"].number_value == EPOCHS
    assert run.latest_metrics["test/accuracy"] == 1.0
    assert await loss_steps(platform, run.name) == list(range(1, STEPS + 1))

    models: Any = models_pb2_grpc.ModelServiceStub(platform.channels["registry"])
    assert job.model_version == "projects/default/models/small/versions/1"
    version = await models.GetModelVersion(models_pb2.GetModelVersionRequest(name=job.model_version))
    assert {file.path for file in version.files} == {"model.safetensors", "model.onnx"}
    assert version.framework.name == "pytorch"
    assert version.kind == "small-cnn"
    assert version.parameter_count > 0
    assert [(spec.name, list(spec.shape)) for spec in version.inputs] == [("image", [-1, 1, 4, 4])]
    assert [(spec.name, list(spec.shape)) for spec in version.outputs] == [("logits", [-1, 2])]
    assert version.metrics["test/accuracy"] == 1.0

    lineage: Any = lineage_pb2_grpc.LineageServiceStub(platform.channels["registry"])
    graph = await lineage.GetLineage(lineage_pb2.GetLineageRequest(name=job.model_version))
    edges = {(edge.first_name, edge.second_name, edge.role) for edge in graph.connections}
    assert (platform.dataset_version, run.name, artifact_pb2.ArtifactConnection.ROLE_INPUT) in edges
    assert (code, run.name, artifact_pb2.ArtifactConnection.ROLE_EXECUTABLE) in edges
    assert (run.name, job.model_version, artifact_pb2.ArtifactConnection.ROLE_OUTPUT) in edges


@pytest.mark.timeout(240)
async def test_a_killed_worker_costs_an_attempt_and_not_a_bit_of_the_result(
    platform: Platform, blobs_dir: Path
) -> None:
    """Promise 6: the job resumes from its last checkpoint, and ends as if nothing had happened."""
    code = await platform.upload(EXAMPLE)
    epochs = 20  # enough to be in the middle of it when the worker is killed
    spec: dict[str, Any] = {"worker_count": 2, "parameters": {**PARAMETERS, "epochs": epochs}, "max_restarts": 1}
    undisturbed = await platform.submit(code, **spec)
    disturbed = await platform.submit(code, **spec)
    await platform.until(disturbed.name, lambda job: job.checkpoint.epoch >= 1)
    workers = workers_of(disturbed.name)
    await platform.until(disturbed.name, lambda job: job.checkpoint.epoch >= 2)
    workers[1].send_signal(signal.SIGKILL)
    ended = await platform.end(disturbed.name)
    assert ended.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, ended.failure
    assert ended.attempt_count == 2
    steps = await loss_steps(platform, ended.run)
    assert set(steps) == set(range(1, STEPS // EPOCHS * epochs + 1))
    assert steps == sorted(steps)
    undisturbed = await platform.end(undisturbed.name)
    blobs = blobs_from_url(blobs_dir.as_uri(), "training_scheduler")
    left, right = [checkpoint.load(await blobs.local_path(job.checkpoint.digest)) for job in (ended, undisturbed)]
    for part in ("model", "optimizer"):
        torch.testing.assert_close(left[part], right[part], rtol=0, atol=0)


async def test_a_script_that_fails_fails_the_job_with_the_end_of_its_log(platform: Platform, folder: Folder) -> None:
    code = await platform.upload(folder("print('about to fail')\nraise ValueError('the reason why')\n"))
    job = await platform.end((await platform.submit(code, max_restarts=1)).name)
    assert job.state == jobs_pb2.TrainingJob.STATE_FAILED
    assert job.attempt_count == 2
    assert job.failure_reason == "WORKER_FAILED"
    assert "about to fail" in job.failure
    assert "ValueError: the reason why" in job.failure
    run = await run_of(platform, job)
    assert run.state == artifact_pb2.Run.STATE_FAILED
    assert run.failure == job.failure


async def test_a_script_that_hands_in_no_model_fails_a_job_that_is_to_register_one(
    platform: Platform, folder: Folder
) -> None:
    code = await platform.upload(folder("print('done')\n"))
    job = await platform.end((await platform.submit(code, model="small")).name)
    assert job.state == jobs_pb2.TrainingJob.STATE_FAILED
    assert job.failure_reason == "NO_RESULT"


async def test_cancelling_ends_the_workers_and_the_run(platform: Platform, folder: Folder) -> None:
    code = await platform.upload(folder(WAITING))
    running = await platform.submit(code)
    waiting = await platform.submit(code, worker_count=2)
    await platform.until(running.name, lambda job: job.progress.step == 1)
    assert len(workers_of(running.name)) == 1
    still_waiting = await platform.jobs.GetTrainingJob(jobs_pb2.GetTrainingJobRequest(name=waiting.name))
    assert still_waiting.state == jobs_pb2.TrainingJob.STATE_PENDING, "two workers have no room beside one"

    at_once = await platform.jobs.CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=waiting.name))
    assert at_once.state == jobs_pb2.TrainingJob.STATE_CANCELLED
    asked = asyncio.get_running_loop().time()
    await platform.jobs.CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=running.name))
    cancelled = await platform.end(running.name)
    assert asyncio.get_running_loop().time() - asked < 10
    assert cancelled.state == jobs_pb2.TrainingJob.STATE_CANCELLED
    assert workers_of(running.name) == {}
    assert (await run_of(platform, cancelled)).state == artifact_pb2.Run.STATE_CANCELLED
    again = await platform.jobs.CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=running.name))
    assert again == cancelled


WAITING = """
import time
import headwater.training

with headwater.training.session() as session:
    session.report_progress(epoch=0, epoch_count=1, step=1)
    while True:
        time.sleep(0.1)
"""

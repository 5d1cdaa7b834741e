"""The session within a job: a script checks what it is given, and the test what it gave."""

import asyncio
from typing import Any

import pytest

from headwater import training
from headwater.registry.v1 import models_pb2, models_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.training.environment import NotInJob
from headwater.training.v1 import jobs_pb2
from tests.integration.training.conftest import Folder
from tests.integration.training.platform import Platform

SCRIPT = """
import math, os, pathlib, time
import torch
from torch import distributed
import headwater.training

with headwater.training.session() as session:
    distributed.init_process_group("gloo")
    assert os.environ.get("HEADWATER_DATABASE_URL") is None
    assert pathlib.Path.cwd().joinpath("train.py").exists()
    assert session.world_size == 2 and session.rank == distributed.get_rank()
    assert session.parameters == {"whole": 3, "part": 0.5, "text": "x", "yes": True, "list": [1, 2.5], "none": None}
    assert type(session.parameters["whole"]) is int

    share = session.dataset("train")
    assert share.tensor("tensor").shape == (32, 1, 4, 4)
    everything = session.dataset("train", columns=["tensor"], whole=True)
    assert everything.table.column_names == ["tensor"] and len(everything) == 64
    mine = everything.tensor("tensor")[32 * session.rank : 32 * (session.rank + 1)]
    assert torch.equal(share.tensor("tensor"), mine)
    assert sum(batch.num_rows for batch in share.batches()) == 32

    model = torch.nn.Linear(4, 2)
    assert session.load_checkpoint(model) is None
    assert session.should_stop is False
    for step in range(2500):
        session.log_metrics({"train/loss": step + session.rank}, step=step)
    session.log_metrics({"train/odd": math.nan}, step=0)
    session.save_checkpoint(model, epoch=1, step=2500, extra={"schedule": (1, [torch.ones(2)])})
    session.save_model(
        model,
        example={"row": torch.zeros(1, 4)},
        outputs=["answer"],
        properties={"classes": "[]"},
        samples={"row": torch.eye(4)},
    )
    distributed.destroy_process_group()
"""


@pytest.mark.timeout(240)
async def test_a_script_finds_everything_in_its_session(platform: Platform, folder: Folder) -> None:
    code = await platform.upload(folder(SCRIPT))
    parameters = {"whole": 3, "part": 0.5, "text": "x", "yes": True, "list": [1, 2.5], "none": None}
    submitted = await platform.submit(code, worker_count=2, model="linear", parameters=parameters)
    job = await platform.end(submitted.name)
    assert job.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, job.failure
    assert (job.checkpoint.epoch, job.checkpoint.step) == (1, 2500)

    runs: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    logged, token = [], ""
    while True:
        page = await runs.ListMetricPoints(
            runs_pb2.ListMetricPointsRequest(name=job.run, key="train/loss", page_size=1000, page_token=token)
        )
        logged += [(point.step, point.value) for point in page.points]
        token = page.next_page_token
        if not token:
            break
    assert logged == [(step, step) for step in range(2500)], "the first worker's, each once"

    models: Any = models_pb2_grpc.ModelServiceStub(platform.channels["registry"])
    version = await models.GetModelVersion(models_pb2.GetModelVersionRequest(name=job.model_version))
    properties = {file.path: dict(file.properties) for file in version.files}
    assert properties["model.onnx"]["metadata.classes"] == properties["model.safetensors"]["classes"] == "[]"
    assert "parity.json" in properties  # N-04: what the model answered here


STOPPABLE = """
import time
import torch
import headwater.training

with headwater.training.session() as session:
    model, step = torch.nn.Linear(1, 1), 0
    session.report_progress(epoch=0, epoch_count=1, step=1)
    while not session.should_stop:
        time.sleep(0.05)
        step += 1
    session.save_checkpoint(model, epoch=0, step=step)
"""


async def test_a_script_that_looks_is_given_the_time_to_save_a_checkpoint(platform: Platform, folder: Folder) -> None:
    code = await platform.upload(folder(STOPPABLE))
    submitted = await platform.submit(code)
    await platform.until(submitted.name, lambda job: job.progress.step == 1)
    await platform.jobs.CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=submitted.name))
    job = await platform.end(submitted.name)
    assert job.state == jobs_pb2.TrainingJob.STATE_CANCELLED
    assert job.checkpoint.step > 0


async def test_unsafe_code_fails_the_job_before_any_of_it_runs(platform: Platform, folder: Folder) -> None:
    """Promise 12: the archive is refused by the scheduler's own reader."""
    from headwater import artifacts

    archive = folder("print('ran')").parent / "code.tar"
    archive.write_bytes(b"not a tar" * 1000)
    artifact = await asyncio.to_thread(artifacts.upload, platform.connection, archive)
    job = await platform.end((await platform.submit(artifact.name)).name)
    assert job.state == jobs_pb2.TrainingJob.STATE_FAILED
    assert job.failure_reason == "INVALID_CODE"
    assert job.attempt_count == 0


def test_outside_a_job_there_is_no_session() -> None:
    with pytest.raises(NotInJob, match="headwater train submit"):
        training.session({})

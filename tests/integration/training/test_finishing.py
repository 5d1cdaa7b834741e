"""A scheduler that dies while it writes down a job's end: the next one goes on where it stopped."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from chassis.db.engine import Database
from headwater import artifacts
from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import models_pb2, models_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.training.v1 import jobs_pb2
from services.training_scheduler.jobs.model import Failure, ResultFile, State, TrainingJob, TrainingResult
from services.training_scheduler.postgres import PostgresStore
from tests.integration.training.platform import Platform
from tests.unit.training.jobs import job as a_job
from tests.unit.training.jobs import spec

MODEL = "projects/default/models/small"


@dataclasses.dataclass
class Finishing:
    """A job whose workers are done, and the stubs of what has to be written about it."""

    platform: Platform
    store: PostgresStore
    runs: Any
    models: Any
    job: TrainingJob

    async def take_up(self) -> jobs_pb2.TrainingJob:
        """Let the scheduler find the job; returns how it ended."""
        async with self.store.transaction() as tx:
            await tx.jobs.add(self.job)
        return await self.platform.end(self.job.name)

    async def finish_run(self) -> None:
        """As the scheduler would before it died."""
        await self.runs.FinishRun(runs_pb2.FinishRunRequest(name=self.job.run, state=artifact_pb2.Run.STATE_SUCCEEDED))

    async def register(self) -> None:
        """As the scheduler would before it died."""
        assert self.job.result is not None
        files = [
            models_pb2.ModelFileReference(path=file.path, artifact=file.artifact) for file in self.job.result.files
        ]
        await self.models.CreateModelVersion(
            models_pb2.CreateModelVersionRequest(
                parent=MODEL,
                files=files,
                run=self.job.run,
                framework=artifact_pb2.Framework(name="pytorch", version="2"),
                architecture="linear",
                request_id=f"{self.job.id}-model",
            )
        )

    async def versions(self) -> list[str]:
        """The versions of the model."""
        request = models_pb2.ListModelVersionsRequest(parent=MODEL)
        return [version.name for version in (await self.models.ListModelVersions(request)).model_versions]


@pytest.fixture
async def finishing(platform: Platform, postgres_url: str, tmp_path: Path) -> Any:
    """A job that succeeded as far as its workers can tell."""
    runs: Any = runs_pb2_grpc.RunServiceStub(platform.channels["registry"])
    run = await runs.CreateRun(runs_pb2.CreateRunRequest(parent="projects/default", run=artifact_pb2.Run()))
    file = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(3, np.float32)}, file)
    artifact = await asyncio.to_thread(artifacts.upload, platform.connection, file)
    job = a_job(
        spec=spec(dataset_version=platform.dataset_version, model=MODEL),
        state=State.FINISHING,
        outcome=State.SUCCEEDED,
        run=run.name,
        fencing_token=1,
        result=TrainingResult((ResultFile("model.safetensors", artifact.name),), "pytorch", "2", "linear"),
    )
    database = Database(postgres_url, "training_scheduler")
    stub = models_pb2_grpc.ModelServiceStub(platform.channels["registry"])
    yield Finishing(platform, PostgresStore(database), runs, stub, job)
    await database.close()


@pytest.mark.parametrize("done", [(), ("finish_run",), ("finish_run", "register")], ids=["nothing", "run", "model"])
async def test_whatever_was_done_already_is_done_once(finishing: Finishing, done: tuple[str, ...]) -> None:
    for step in done:
        await getattr(finishing, step)()
    ended = await finishing.take_up()
    assert ended.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, ended.failure
    assert ended.attempt_count == 0, "no worker is started for that"
    assert [ended.model_version] == await finishing.versions()
    run = await finishing.runs.GetRun(runs_pb2.GetRunRequest(name=ended.run))
    assert run.state == artifact_pb2.Run.STATE_SUCCEEDED


async def test_a_result_that_the_registry_refuses_fails_the_job_with_its_reason(finishing: Finishing) -> None:
    assert finishing.job.result is not None
    missing = ResultFile("model.onnx", f"projects/default/artifacts/{'0' * 64}")
    result = dataclasses.replace(finishing.job.result, files=(missing,))
    finishing.job = dataclasses.replace(finishing.job, result=result)
    ended = await finishing.take_up()
    assert ended.state == jobs_pb2.TrainingJob.STATE_FAILED
    assert ended.failure_reason == "ARTIFACT_NOT_FOUND"
    assert ended.model_version == ""


async def test_a_failure_that_was_decided_stays_what_it_was(finishing: Finishing) -> None:
    failure = Failure("WORKER_FAILED", "ValueError: no")
    finishing.job = dataclasses.replace(finishing.job, outcome=State.FAILED, failure=failure)
    ended = await finishing.take_up()
    assert (ended.failure_reason, ended.failure) == (failure.reason, failure.text)
    run = await finishing.runs.GetRun(runs_pb2.GetRunRequest(name=ended.run))
    assert (run.state, run.failure) == (artifact_pb2.Run.STATE_FAILED, failure.text)

"""The same job on a private single-node Ray; starting it takes some ten seconds."""

from pathlib import Path

import pytest

from headwater.training.v1 import jobs_pb2
from tests.integration.training.platform import Platform

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "digits"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheduler_settings", [{"ray_address": "local"}], indirect=True)
async def test_ray_passes_the_job_that_the_local_launcher_passes(platform: Platform) -> None:
    code = await platform.upload(EXAMPLE)
    submitted = await platform.submit(
        code,
        worker_count=2,
        launcher=jobs_pb2.TrainingSpec.LAUNCHER_RAY,
        model="small",
        parameters={"epochs": 6, "batch_size": 4, "learning_rate": 0.01},
    )
    job = await platform.end(submitted.name, timeout_s=240)
    assert job.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, job.failure
    assert job.attempt_count == 1
    assert job.checkpoint.epoch == 6
    assert job.progress.metrics["test/accuracy"] == 1.0
    assert job.model_version == "projects/default/models/small/versions/1"

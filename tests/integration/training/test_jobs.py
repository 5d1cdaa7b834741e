"""Training jobs from submission to model version, on real services and real worker processes."""

from pathlib import Path

from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc, models_pb2, models_pb2_grpc, runs_pb2, runs_pb2_grpc
from headwater.training.v1 import jobs_pb2
from tests.integration.training.conftest import Platform

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "digits"


async def test_the_example_trains_on_two_workers_and_registers_a_model_version(platform: Platform) -> None:
    code = await platform.upload(EXAMPLE)
    submitted = await platform.submit(
        code, worker_count=2, model="small", parameters={"epochs": 3, "batch_size": 8, "learning_rate": 0.01}
    )
    assert submitted.state == jobs_pb2.TrainingJob.STATE_PENDING
    job = await platform.end(submitted.name)
    assert job.state == jobs_pb2.TrainingJob.STATE_SUCCEEDED, job.failure
    assert job.attempt_count == 1
    assert job.progress.epoch == job.progress.epoch_count == 3
    assert job.progress.metrics["test/accuracy"] == 1.0
    assert job.checkpoint.epoch == 3
    assert job.model_version == "projects/default/models/small/versions/1"

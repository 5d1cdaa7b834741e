"""Jobs for tests."""

import dataclasses
import datetime
from typing import Any

from services.training_scheduler.jobs.model import Resources, TrainingJob, TrainingSpec

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SPEC = TrainingSpec(
    dataset_version="projects/default/datasets/digits/versions/v1.0.0",
    code=f"projects/default/artifacts/{'0' * 64}",
    command=("train.py",),
    worker_count=2,
    resources=Resources(cpus=1.0),
    model="projects/default/models/digits",
)


def spec(**changes: Any) -> TrainingSpec:
    """A spec like SPEC but for ``changes``."""
    return dataclasses.replace(SPEC, **changes)


def job(number: int = 1, **changes: Any) -> TrainingJob:
    """A waiting job."""
    values: dict[str, Any] = {"spec": SPEC, "sequence": number, **changes}
    return TrainingJob(id=f"job-{number}", project="default", created_by="ada", create_time=NOW, **values)

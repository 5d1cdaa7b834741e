"""Jobs in PostgreSQL."""

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training_scheduler.errors import TrainingJobNotFound
from services.training_scheduler.jobs.model import (
    ALLOWED,
    Checkpoint,
    Failure,
    LauncherKind,
    Progress,
    Resources,
    ResultFile,
    State,
    TrainingJob,
    TrainingResult,
    TrainingSpec,
)
from services.training_scheduler.store import JobStore
from services.training_scheduler.tables import jobs

_UNFINISHED = [state.value for state in State if ALLOWED[state]]


class PostgresJobs(JobStore):
    """See JobStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, job: TrainingJob) -> TrainingJob:
        """See JobStore."""
        added = insert(jobs).values(_values(job)).returning(jobs.c.sequence)
        return dataclasses.replace(job, sequence=(await self._connection.execute(added)).scalar_one())

    async def get(self, job_id: str, *, lock: bool = False) -> TrainingJob:
        """See JobStore."""
        query = select(jobs).where(jobs.c.id == job_id)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).first()
        if row is None:
            raise TrainingJobNotFound(job=job_id)
        return _job(row)

    async def save(self, job: TrainingJob) -> TrainingJob:
        """See JobStore."""
        saved = dataclasses.replace(job, revision=job.revision + 1)
        await self._connection.execute(update(jobs).where(jobs.c.id == job.id).values(_values(saved)))
        return saved

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[TrainingJob]:
        """See JobStore."""
        query = select(jobs).where(jobs.c.project == project)
        if before is not None:
            query = query.where(jobs.c.sequence < before)
        rows = await self._connection.execute(query.order_by(jobs.c.sequence.desc()).limit(limit))
        return [_job(row) for row in rows]

    async def unfinished(self, limit: int) -> Sequence[TrainingJob]:
        """See JobStore."""
        query = select(jobs).where(jobs.c.state.in_(_UNFINISHED)).order_by(jobs.c.sequence).limit(limit)
        return [_job(row) for row in await self._connection.execute(query)]


def _values(job: TrainingJob) -> dict[str, Any]:
    plain = {field.name: getattr(job, field.name) for field in dataclasses.fields(job) if field.name != "sequence"}
    return plain | {
        "spec": dataclasses.asdict(job.spec),
        "progress": dataclasses.asdict(job.progress) | {"metrics": _metrics_to_json(job.progress.metrics)},
        "checkpoint": _checkpoint_to_json(job.checkpoint),
        "result": None if job.result is None else dataclasses.asdict(job.result),
        "failure": None if job.failure is None else dataclasses.asdict(job.failure),
        "warnings": list(job.warnings),
    }


def _job(row: Row[Any]) -> TrainingJob:
    progress = row.progress | {"metrics": {key: float(value) for key, value in row.progress["metrics"].items()}}
    return TrainingJob(
        **row._asdict()
        | {
            "spec": _spec(row.spec),
            "state": State(row.state),
            "outcome": None if row.outcome is None else State(row.outcome),
            "progress": Progress(**progress),
            "checkpoint": None if row.checkpoint is None else _checkpoint(row.checkpoint),
            "result": None if row.result is None else _result(row.result),
            "failure": None if row.failure is None else Failure(**row.failure),
            "warnings": tuple(row.warnings),
        }
    )


def _spec(value: dict[str, Any]) -> TrainingSpec:
    return TrainingSpec(
        **value
        | {
            "command": tuple(value["command"]),
            "resources": Resources(**value["resources"]),
            "launcher": LauncherKind(value["launcher"]),
        }
    )


def _result(value: dict[str, Any]) -> TrainingResult:
    return TrainingResult(**value | {"files": tuple(ResultFile(**file) for file in value["files"])})


def _checkpoint_to_json(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    if checkpoint is None:
        return None
    return dataclasses.asdict(checkpoint) | {"create_time": checkpoint.create_time.isoformat()}


def _checkpoint(value: dict[str, Any]) -> Checkpoint:
    return Checkpoint(**value | {"create_time": datetime.datetime.fromisoformat(value["create_time"])})


def _metrics_to_json(metrics: Mapping[str, float]) -> dict[str, float | str]:
    """JSON knows no NaN and no infinity, which a loss may well become: they are kept as text."""
    return {key: value if math.isfinite(value) else str(value) for key, value in metrics.items()}

"""Jobs in PostgreSQL. Job ids are UUIDv7, so their order is the order of creation."""

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.paging import Key
from headwater.names import DatasetName, DatasetVersionName, PipelineVersionName, PreprocessingJobName, ProjectName
from services.preprocessing.jobs.model import Job, Progress, State
from services.preprocessing.jobs.store import JobStore
from services.preprocessing.tables import jobs

_UNFINISHED = [state.value for state in State if not state.terminal]


class PostgresJobStore(JobStore):
    """See JobStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See JobStore."""
        return self._database.transaction()

    async def add(self, tx: AsyncConnection, job: Job) -> None:
        """See JobStore."""
        await tx.execute(insert(jobs).values(_values(job)))

    async def get(self, tx: AsyncConnection, name: PreprocessingJobName, *, lock: bool = False) -> Job | None:
        """See JobStore."""
        query = select(jobs).where(_named(name))
        row = (await tx.execute(query.with_for_update() if lock else query)).first()
        return None if row is None else _job(row)

    async def save(self, tx: AsyncConnection, job: Job) -> Job:
        """See JobStore."""
        saved = dataclasses.replace(job, revision=job.revision + 1)
        await tx.execute(update(jobs).where(_named(job.name)).values(_values(saved)))
        return saved

    async def list(self, tx: AsyncConnection, project: ProjectName, after: Key | None, limit: int) -> Sequence[Job]:
        """See JobStore."""
        query = select(jobs).where(jobs.c.project == project.project)
        if after is not None:
            query = query.where(jobs.c.job < after[0])
        return [_job(row) for row in await tx.execute(query.order_by(jobs.c.job.desc()).limit(limit))]

    async def unfinished(self, tx: AsyncConnection, limit: int) -> Sequence[Job]:
        """See JobStore."""
        query = select(jobs).where(jobs.c.state.in_(_UNFINISHED)).order_by(jobs.c.job).limit(limit)
        return [_job(row) for row in await tx.execute(query)]


def _named(name: PreprocessingJobName) -> ColumnElement[bool]:
    return and_(jobs.c.project == name.project, jobs.c.job == name.job)


def _values(job: Job) -> dict[str, Any]:
    return {
        "project": job.name.project,
        "job": job.name.job,
        "pipeline_version": str(job.pipeline_version),
        "dataset_version": str(job.dataset_version),
        "output_dataset": str(job.output_dataset),
        "state": job.state.value,
        "revision": job.revision,
        "output_version": job.output_version,
        "output_created": job.output_created,
        **dataclasses.asdict(job.progress),
        "failure_reason": job.failure_reason,
        "failure": job.failure,
        "run": job.run,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "created_by": job.created_by,
        "warnings": list(job.warnings),
    }


def _job(row: Row[Any]) -> Job:
    return Job(
        name=PreprocessingJobName(row.project, row.job),
        pipeline_version=PipelineVersionName.parse(row.pipeline_version),
        dataset_version=DatasetVersionName.parse(row.dataset_version),
        output_dataset=DatasetName.parse(row.output_dataset),
        created_at=row.created_at,
        created_by=row.created_by,
        state=State(row.state),
        revision=row.revision,
        progress=Progress(row.chunk_count, row.done_chunk_count, row.cached_chunk_count, row.done_row_count),
        output_version=row.output_version,
        output_created=row.output_created,
        failure_reason=row.failure_reason,
        failure=row.failure,
        run=row.run,
        started_at=row.started_at,
        ended_at=row.ended_at,
        warnings=tuple(row.warnings),
    )

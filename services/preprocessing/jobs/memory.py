"""Jobs in memory: for tests, and to say in few lines what the store means."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

from chassis.paging import Key
from headwater.names import PreprocessingJobName, ProjectName
from services.preprocessing.jobs.model import Job
from services.preprocessing.jobs.store import JobStore


class MemoryJobStore(JobStore):
    """See JobStore. Transactions do nothing."""

    def __init__(self) -> None:
        self._jobs: dict[PreprocessingJobName, Job] = {}

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """See JobStore."""
        yield None

    async def add(self, _tx: Any, job: Job) -> None:
        """See JobStore."""
        self._jobs[job.name] = job

    async def get(self, _tx: Any, name: PreprocessingJobName, *, lock: bool = False) -> Job | None:
        """See JobStore."""
        return self._jobs.get(name)

    async def save(self, _tx: Any, job: Job) -> Job:
        """See JobStore."""
        saved = dataclasses.replace(job, revision=job.revision + 1)
        self._jobs[job.name] = saved
        return saved

    async def list(self, _tx: Any, project: ProjectName, after: Key | None, limit: int) -> Sequence[Job]:
        """See JobStore."""
        newest = sorted(self._jobs.values(), key=lambda job: job.name.job, reverse=True)
        ours = (job for job in newest if job.name.project == project.project)
        return [job for job in ours if after is None or (job.name.job,) < after][:limit]

    async def unfinished(self, _tx: Any, limit: int) -> Sequence[Job]:
        """See JobStore."""
        oldest = sorted(self._jobs.values(), key=lambda job: job.name.job)
        return [job for job in oldest if not job.state.terminal][:limit]

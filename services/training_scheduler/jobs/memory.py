"""Jobs in memory: for tests, and to say in few lines what the store means."""

import dataclasses
from collections.abc import Sequence

from services.training_scheduler.errors import TrainingJobNotFound
from services.training_scheduler.jobs.model import TrainingJob
from services.training_scheduler.store import JobStore


class MemoryJobs(JobStore):
    """See JobStore."""

    def __init__(self, rows: dict[str, TrainingJob]) -> None:
        self._rows = rows

    async def add(self, job: TrainingJob) -> TrainingJob:
        """See JobStore."""
        added = dataclasses.replace(job, sequence=len(self._rows) + 1)
        self._rows[job.id] = added
        return added

    async def get(self, job_id: str, *, lock: bool = False) -> TrainingJob:
        """See JobStore."""
        if job_id not in self._rows:
            raise TrainingJobNotFound(job=job_id)
        return self._rows[job_id]

    async def save(self, job: TrainingJob) -> TrainingJob:
        """See JobStore."""
        saved = dataclasses.replace(job, revision=job.revision + 1)
        self._rows[job.id] = saved
        return saved

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[TrainingJob]:
        """See JobStore."""
        newest = sorted(self._rows.values(), key=lambda job: -job.sequence)
        ours = [job for job in newest if job.project == project and (before is None or job.sequence < before)]
        return ours[:limit]

    async def unfinished(self, limit: int) -> Sequence[TrainingJob]:
        """See JobStore."""
        return sorted((job for job in self._rows.values() if not job.ended), key=lambda job: job.sequence)[:limit]

"""What must be remembered of jobs."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from chassis.paging import Key
from headwater.names import PreprocessingJobName, ProjectName
from services.preprocessing.jobs.model import Job


class JobStore(Protocol):
    """Jobs. tests/contract/preprocessing holds every implementation to this."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """One transaction; the value is passed to the methods below."""

    async def add(self, tx: Any, job: Job) -> None:
        """Keep a new job."""

    async def get(self, tx: Any, name: PreprocessingJobName, *, lock: bool = False) -> Job | None:
        """The job, or None; with ``lock`` nobody else changes it before the transaction ends."""

    async def save(self, tx: Any, job: Job) -> Job:
        """Replace the job, which the caller has locked; returns it with its next revision."""

    async def list(self, tx: Any, project: ProjectName, after: Key | None, limit: int) -> Sequence[Job]:
        """At most ``limit`` jobs of the project, newest first, after the key ``(job,)``."""

    async def unfinished(self, tx: Any, limit: int) -> Sequence[Job]:
        """The oldest jobs that have not ended."""

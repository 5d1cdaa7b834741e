"""What attempts need of other services, in the scheduler's words."""

from collections.abc import AsyncIterator
from typing import Protocol

from services.training_scheduler.jobs.model import TrainingJob


class Tracking(Protocol):
    """Where code comes from and where runs, lineage and models are written. Every call may be repeated safely.

    All of it happens in the name of who created the job.
    """

    async def begin(self, job: TrainingJob) -> str:
        """Make the job's run and connect it with its dataset version and code; returns the run's resource name."""

    def code(self, job: TrainingJob) -> AsyncIterator[bytes]:
        """The archive of the job's code."""

    async def finish(self, job: TrainingJob) -> None:
        """End the job's run as the job ends."""

    async def register(self, job: TrainingJob) -> str:
        """Make the job's result the next version of its model; returns the version's resource name."""

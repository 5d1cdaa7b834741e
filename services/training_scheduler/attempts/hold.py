"""A job that this scheduler has claimed, for as long as nobody else has."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Self

import structlog

from headwater.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from services.training_scheduler.attempts.patience import patiently
from services.training_scheduler.errors import StaleAttempt
from services.training_scheduler.jobs.changes import WAITING, Changes
from services.training_scheduler.jobs.model import TrainingJob
from services.training_scheduler.store import Store

_log = structlog.get_logger()


class Hold:
    """Keeps the lease of one job and writes to the job only while it is the present attempt (promise 6)."""

    def __init__(self, job: TrainingJob, owner: str, *, store: Store, changes: Changes, lease_s: float) -> None:
        self.job = job
        """The job as this scheduler last saw it."""
        self.cancel_requested = asyncio.Event()
        self._owner = owner
        self._store = store
        self._changes = changes
        self._lease_s = lease_s
        self._see(job)

    @classmethod
    async def claim(
        cls, job: TrainingJob, owner: str, *, store: Store, changes: Changes, lease_s: float
    ) -> Self | None:
        """Take the job; None when it has ended or somebody else has it."""
        async with store.transaction() as tx:
            current = await tx.jobs.get(job.id, lock=True)
            token = None if current.ended else await tx.leases.claim(job.id, owner, lease_s)
            if token is None:
                return None
            claimed = await tx.jobs.save(dataclasses.replace(current, fencing_token=token))
        return cls(claimed, owner, store=store, changes=changes, lease_s=lease_s)

    async def keep(self) -> None:
        """Renew the lease until somebody else has the job, which raises StaleAttempt; notice a request to cancel."""
        with self._changes.listen(self.job.id) as listener:
            while True:
                await listener.wait(self._lease_s / 3)
                try:
                    async with self._store.transaction() as tx:
                        await tx.leases.renew(self.job.id, self.job.fencing_token, self._lease_s)
                        self._see(await tx.jobs.get(self.job.id))
                except (Unavailable, DeadlineExceeded, ResourceExhausted) as error:
                    # The lease may run out meanwhile; the fence, not the clock, then keeps this attempt from writing.
                    _log.warning("the lease could not be renewed", job=self.job.id, error=str(error))
                    await asyncio.sleep(self._lease_s / 10)

    async def apply(self, change: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Change the job if it is still ours.

        ``change`` may be called again when the answer to a commit was lost, and must then see that it is done.

        Raises:
            StaleAttempt: somebody else has it; nothing is changed.
        """

        async def write() -> TrainingJob:
            async with self._store.transaction() as tx:
                job = await tx.jobs.get(self.job.id, lock=True)
                if job.fencing_token != self.job.fencing_token:
                    raise StaleAttempt(job=job.id, fencing_token=self.job.fencing_token)
                changed = change(job)
                return job if changed == job else await tx.jobs.save(changed)

        before = self.job.revision
        self._see(await patiently(write))
        if self.job.revision != before:
            await self._changes.tell(self.job.id)
        return self.job

    async def refresh(self) -> None:
        """See the job as it is now.

        Raises:
            StaleAttempt: somebody else has it.
        """
        await self.apply(lambda job: job)

    async def next_attempt(self) -> None:
        """A worker has died: fence off those that were started until now and count it.

        Raises:
            StaleAttempt: somebody else has the job.
        """

        async def write() -> TrainingJob:
            async with self._store.transaction() as tx:
                job = await tx.jobs.get(self.job.id, lock=True)
                token = await tx.leases.claim(job.id, self._owner, self._lease_s)
                if token is None or job.fencing_token != self.job.fencing_token:
                    raise StaleAttempt(job=job.id, fencing_token=self.job.fencing_token)
                died = dataclasses.replace(job, fencing_token=token, restart_count=job.restart_count + 1)
                return await tx.jobs.save(died)

        self._see(await patiently(write))

    async def release(self) -> None:
        """Let others take the job at once."""
        async with self._store.transaction() as tx:
            await tx.leases.release(self.job.id, self.job.fencing_token)
        await self._changes.tell(WAITING)

    def _see(self, job: TrainingJob) -> None:
        self.job = job
        if job.cancel_requested:
            self.cancel_requested.set()

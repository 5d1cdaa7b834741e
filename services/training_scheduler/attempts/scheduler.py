"""Takes waiting jobs, as many as there is room for, and sees to it that each is supervised."""

import asyncio
from collections.abc import Mapping

import structlog

from headwater.errors import HeadwaterError
from services.training_scheduler.attempts.hold import Hold
from services.training_scheduler.attempts.placement import Capacity, place
from services.training_scheduler.attempts.supervisor import Supervisor
from services.training_scheduler.jobs.changes import WAITING, Changes
from services.training_scheduler.jobs.model import LauncherKind, TrainingJob
from services.training_scheduler.store import Store

_SEEN_AT_ONCE = 1_000
_log = structlog.get_logger()


class Scheduler:
    """One of any number of schedulers on the same store; ``owner`` names it and nothing else."""

    def __init__(
        self,
        owner: str,
        *,
        store: Store,
        changes: Changes,
        supervisor: Supervisor,
        capacities: Mapping[LauncherKind, Capacity],
        lease_s: float,
        poll_s: float,
    ) -> None:
        self._owner = owner
        self._store = store
        self._changes = changes
        self._supervisor = supervisor
        self._capacities = capacities
        self._lease_s = lease_s
        self._poll_s = poll_s
        self._running: dict[str, tuple[Hold, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Take jobs for ever. When cancelled, stop the workers of all, for another scheduler to resume them at once."""
        try:
            with self._changes.listen(WAITING) as listener:
                while True:
                    try:
                        await self._take_waiting()
                    except HeadwaterError as error:
                        _log.warning("cannot look for jobs", error=str(error), reason=error.reason)
                    await listener.wait(self._poll_s)
        finally:
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_waiting(self) -> None:
        running = [hold.job for hold, _ in self._running.values()]
        for job in place(await self._waiting(), running, self._capacities):
            hold = await Hold.claim(job, self._owner, store=self._store, changes=self._changes, lease_s=self._lease_s)
            if hold is not None:
                self._start(hold)

    async def _waiting(self) -> list[TrainingJob]:
        async with self._store.transaction() as tx:
            jobs = [job for job in await tx.jobs.unfinished(_SEEN_AT_ONCE) if job.id not in self._running]
            held = await tx.leases.held([job.id for job in jobs])
        return [job for job in jobs if job.id not in held]

    def _start(self, hold: Hold) -> None:
        task = asyncio.create_task(self._supervisor.supervise(hold), name=f"training job {hold.job.id}")
        self._running[hold.job.id] = hold, task
        _log.info("took a job", job=hold.job.id, fencing_token=hold.job.fencing_token)
        task.add_done_callback(lambda task: self._ended(hold, task))

    def _ended(self, hold: Hold, task: asyncio.Task[None]) -> None:
        del self._running[hold.job.id]
        if not task.cancelled() and task.exception() is not None:
            _log.error("supervising a job failed", job=hold.job.id, exc_info=task.exception())
            return
        self._changes.wake(WAITING)  # there is room for another one

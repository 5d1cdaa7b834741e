"""What the scheduler remembers, in memory: for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from chassis.clock import Clock
from chassis.db.lease import MemoryLeases
from chassis.db.requests import MemoryRequests
from services.training_scheduler.bound import BoundLeases, BoundRequests
from services.training_scheduler.checkpoints.memory import MemoryCheckpoints
from services.training_scheduler.checkpoints.model import StoredCheckpoint
from services.training_scheduler.jobs.memory import MemoryJobs
from services.training_scheduler.jobs.model import TrainingJob
from services.training_scheduler.store import Store, Transaction

Key = TypeVar("Key")
Row = TypeVar("Row")


class MemoryStore(Store):
    """See Store. Transactions run one after the other; jobs and checkpoints are put back when one raises."""

    def __init__(self, clock: Clock) -> None:
        self._jobs: dict[str, TrainingJob] = {}
        self._checkpoints: dict[int, StoredCheckpoint] = {}
        self._leases = MemoryLeases(clock)
        self._requests = MemoryRequests()
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See Store."""
        async with self._lock:
            jobs, checkpoints = dict(self._jobs), dict(self._checkpoints)
            try:
                yield Transaction(
                    jobs=MemoryJobs(self._jobs),
                    leases=BoundLeases(self._leases, None),
                    checkpoints=MemoryCheckpoints(self._checkpoints, self._jobs),
                    requests=BoundRequests(self._requests, None),
                )
            except BaseException:
                _put_back(self._jobs, jobs)
                _put_back(self._checkpoints, checkpoints)
                raise


def _put_back(rows: dict[Key, Row], before: dict[Key, Row]) -> None:
    rows.clear()
    rows.update(before)

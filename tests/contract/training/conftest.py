"""Every implementation of the scheduler's store, empty."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.db.engine import Database
from chassis.testing import ManualClock
from services.training_scheduler.memory import MemoryStore
from services.training_scheduler.postgres import PostgresStore
from services.training_scheduler.store import Store


class Case:
    """A store, and a way to let time pass for its leases."""

    def __init__(self, store: Store, clock: ManualClock | None) -> None:
        self.store = store
        self._clock = clock

    async def let_pass(self, seconds: float) -> None:
        """The database's clock is its own, so there the time has to pass."""
        if self._clock is not None:
            self._clock.advance(seconds)
        else:
            await asyncio.sleep(seconds)


@pytest.fixture(params=["memory", "postgres"])
async def case(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Case]:
    """One case for each implementation."""
    if request.param == "memory":
        yield Case(MemoryStore(clock), clock)
        return
    database = Database(request.getfixturevalue("postgres_url"), "training_scheduler")
    yield Case(PostgresStore(database), None)
    await database.close()


@pytest.fixture
def store(case: Case) -> Store:
    """The store of the case."""
    return case.store

"""Every store of the dataset service, one after the other."""

import datetime
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy

from chassis.db.engine import Database
from chassis.testing import ManualClock
from services.dataset.memory import MemoryStore
from services.dataset.postgres import PostgresStore
from services.dataset.store import Store
from tests.contract.dataset.builders import World

_TIMES = (
    ("uploads", "expire_time"),
    ("packs", "create_time"),
    ("packs", "remove_time"),
    ("loose_commits", "since"),
    ("leases", "expires_at"),
)


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        clock = ManualClock()

        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        yield World(MemoryStore(clock), advance)
        return
    database = Database(request.getfixturevalue("postgres_url"), "dataset")

    async def shift(seconds: float) -> None:
        # The database's clock decides, and cannot be set: so what it is compared with moves back instead.
        async with database.transaction() as tx:
            past = {"past": datetime.timedelta(seconds=seconds)}
            for table, column in _TIMES:
                await tx.execute(
                    sqlalchemy.text(f"UPDATE {table} SET {column} = {column} - CAST(:past AS interval)"), past
                )

    yield World(PostgresStore(database), shift)
    await database.close()


@pytest.fixture
def store(world: World) -> Store:
    return world.store

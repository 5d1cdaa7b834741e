"""A database in which the chassis' own tables are."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chassis.db.engine import Database
from chassis.db.migrate import migrate


@pytest_asyncio.fixture
async def database(empty_postgres_url: str) -> AsyncIterator[Database]:
    """The schema ``chassis`` with ``requests`` and ``leases``."""
    await migrate(empty_postgres_url, "chassis", Path(__file__).parent / "migrations")
    database = Database(empty_postgres_url, "chassis")
    yield database
    await database.close()

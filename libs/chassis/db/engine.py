"""One service's connections to PostgreSQL.

Every connection runs as the service's own role (``headwater_<schema>``) with its own schema as search path, so that a
service cannot read another's tables whatever SQL it sends. Queries name tables without a schema.
"""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import sqlalchemy
from asyncpg import Record
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from chassis.db.errors import guarded
from chassis.db.reading import Direct
from chassis.db.settings import CONNECT_TIMEOUT_S, driver_url, server_settings

_READERS = 4


def create_engine(url: str, schema: str, pool_size: int, pool_timeout_s: float) -> AsyncEngine:
    """An engine whose every connection is the service's role in the service's schema; it connects when first used."""
    return create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        pool_use_lifo=True,
        connect_args={"server_settings": server_settings(schema), "timeout": CONNECT_TIMEOUT_S},
    )


class Database:
    """A pool of connections to one schema. What goes wrong in it is raised as an error of ``chassis.db.errors``.

    Args:
        url: ``postgresql://user:password@host:port/database``; the user may become ``headwater_<schema>``.
        schema: the service's schema, made by :func:`chassis.db.migrate.migrate`.
        pool_size: connections at most; as many again for single statements that write, when they are needed.
        pool_timeout_s: who finds no free connection for so long gets DatabaseBusy.
    """

    def __init__(self, url: str, schema: str, pool_size: int = 8, *, pool_timeout_s: float = 5.0) -> None:
        self._engine = create_engine(url, schema, pool_size, pool_timeout_s)
        # A connection of its own, so that readiness tells "busy" from "away".
        self._probe = create_engine(url, schema, 1, pool_timeout_s)
        self._readers = Direct(url, schema, _READERS, pool_timeout_s)
        self._writers = Direct(url, schema, pool_size, pool_timeout_s, writes=True)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One read-committed transaction: commits when the block ends, rolls back when it raises.

        It ends with DeadlineExceeded when the caller's deadline passes; the running statement is cancelled then.
        """
        async with guarded(), self._engine.begin() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def asyncpg(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """The driver's own connection in a transaction, for COPY and cursors; otherwise like :meth:`transaction`."""
        async with guarded(), self._engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            try:
                async with driver.transaction():
                    yield driver
            finally:
                if driver.is_closed():  # SQLAlchemy did not see it happen and would hand it out again
                    await connection.invalidate()

    async def fetch_row(self, statement: str, *arguments: object) -> Record | None:
        """The first row of one statement that only reads, on connections of its own (see chassis.db.reading)."""
        return await self._readers.fetch_row(statement, *arguments)

    async def write_row(self, statement: str, *arguments: object) -> Record | None:
        """The first row of one statement that is a transaction by itself: durable when this returns, or not done.

        It has connections of its own (see chassis.db.reading).
        """
        return await self._writers.fetch_row(statement, *arguments)

    async def check(self) -> None:
        """Return when the database answers.

        Raises:
            DatabaseUnavailable: it does not.
        """
        async with guarded(), self._probe.connect() as connection:
            await connection.execute(sqlalchemy.text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
        await self._probe.dispose()
        await self._readers.close()
        await self._writers.close()

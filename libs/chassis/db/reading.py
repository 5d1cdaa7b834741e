"""Statements without what SQLAlchemy adds to them.

One row that is asked for again and again comes by the driver's own connections, in one round trip. What SQLAlchemy's
pool and a transaction around the statement cost is more than such a statement itself, and who only reads one row does
not wait until those who write have ended their transactions. A statement that writes is a transaction by itself. Where
a transaction reads thousands of rows, to make SQLAlchemy's of the driver's costs more than to find them.
"""

import json
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.errors import DatabaseBusy, guarded
from chassis.db.settings import CONNECT_TIMEOUT_S, dsn, server_settings

_RETRY_MS = 500


async def fetch(connection: AsyncConnection, statement: str, *arguments: object) -> "list[asyncpg.Record]":
    """The driver's rows of a statement, which sees what the connection's transaction has written. It must only read."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    try:
        rows: list[asyncpg.Record] = await driver.fetch(statement, *arguments)
    finally:
        if driver.is_closed():  # SQLAlchemy did not see it happen and would hand it out again
            await connection.invalidate()
    return rows


class Direct:
    """At most ``size`` connections, made when they are needed. They cannot write unless it ``writes``.

    Ids come as text, JSON as what it says.
    """

    def __init__(self, url: str, schema: str, size: int, timeout_s: float, *, writes: bool = False) -> None:
        self._url = url
        self._size = size
        self._timeout_s = timeout_s
        self._settings = server_settings(schema) | ({} if writes else {"default_transaction_read_only": "on"})
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def fetch_row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """The first row; the statement is prepared once on each connection.

        Raises:
            DatabaseBusy: no connection was free for too long.
            DatabaseUnavailable, DeadlineExceeded
        """
        async with guarded():
            pool = await self._opened()
            try:
                connection = await pool.acquire(timeout=self._timeout_s)
            except TimeoutError as error:
                raise DatabaseBusy(retry_after_ms=_RETRY_MS) from error
            try:
                row: asyncpg.Record | None = await connection.fetchrow(statement, *arguments)
                return row
            finally:
                await pool.release(connection)

    async def close(self) -> None:
        """Close every connection."""
        if self._pool is not None:
            self._pool.terminate()

    async def _opened(self) -> "asyncpg.Pool[asyncpg.Record]":
        if self._pool is None:
            pool = asyncpg.create_pool(
                dsn(self._url),
                min_size=0,
                max_size=self._size,
                timeout=CONNECT_TIMEOUT_S,
                server_settings=self._settings,
                init=_prepared,
                reset=_as_it_is,
            )
            self._pool = await pool  # which connects nobody yet
        return self._pool


async def _prepared(connection: Any) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)


async def _as_it_is(_connection: Any) -> None:
    """A statement that only reads leaves nothing behind that would have to be undone."""

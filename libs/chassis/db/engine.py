"""One service's connections to PostgreSQL.

Every connection runs as the service's own role (``headwater_<schema>``) with its own schema as search path, so that a
service cannot read another's tables whatever SQL it sends. Queries name tables without a schema.
"""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection


class Database:
    """A pool of connections to one schema.

    Args:
        url: ``postgresql://user:password@host:port/database``; the user may become ``headwater_<schema>``.
        schema: the service's schema, made by :func:`chassis.db.migrate.migrate`.
        pool_size: connections at most; a caller that finds none within 5 s gets ResourceExhausted.
    """

    def __init__(self, url: str, schema: str, pool_size: int = 8) -> None:
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One read-committed transaction: commits when the block ends, rolls back when it raises."""
        raise NotImplementedError
        yield

    @contextlib.asynccontextmanager
    async def asyncpg(self) -> AsyncIterator[asyncpg.Connection]:
        """The driver's own connection in a transaction, for COPY and cursors."""
        raise NotImplementedError
        yield

    async def check(self) -> None:
        """Return when the database answers; raise Unavailable when it does not."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close every connection."""
        raise NotImplementedError

"""What PostgreSQL and its driver raise, as errors of ours.

Only what no service can know better is translated: the database is away, busy, full, or too slow for the caller.
Violated constraints pass through, for the code beside the query to name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import sqlalchemy.exc

from chassis.deadline import remaining_s
from headwater.errors import DeadlineExceeded, HeadwaterError, ResourceExhausted, Unavailable

_RETRY_MS = 500


class DatabaseUnavailable(Unavailable):
    """The database does not answer, or ended the transaction for a reason that passes (a restart, a deadlock)."""

    reason = "DATABASE_UNAVAILABLE"
    text = "The database cannot be reached right now."


class DatabaseBusy(ResourceExhausted):
    """Every connection is in use."""

    reason = "DATABASE_BUSY"
    text = "Too much is asked of the database right now."


class DatabaseFull(ResourceExhausted):
    """The database has no room left on its disk."""

    reason = "DATABASE_FULL"
    text = "The database has no room left."


# SQLSTATE classes and codes, PostgreSQL manual, appendix A; the longest prefix that fits decides.
_BY_SQLSTATE: dict[str, type[HeadwaterError]] = {
    "08": DatabaseUnavailable,  # connection exceptions
    "0A000": DatabaseUnavailable,  # "cached plan must not change result type": a migration went by
    "25006": DatabaseUnavailable,  # read-only: a replica that is being promoted
    "25P03": DatabaseUnavailable,  # idle in a transaction for too long
    "40": DatabaseUnavailable,  # deadlock, serialization failure
    "53": DatabaseBusy,  # out of memory, too many connections
    "53100": DatabaseFull,
    "55P03": DatabaseBusy,  # a lock was not to be had in time
    "57014": DeadlineExceeded,  # the statement timeout
    "57P01": DatabaseUnavailable,  # shutting down
    "57P02": DatabaseUnavailable,  # another backend crashed
    "57P03": DatabaseUnavailable,  # starting up
    "58": DatabaseUnavailable,  # its own input and output failed
}


def translate(error: BaseException) -> HeadwaterError | None:
    """What ``error`` means for a caller, or None if the code beside the query must decide."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return DatabaseBusy(retry_after_ms=_RETRY_MS)
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return DatabaseUnavailable(retry_after_ms=_RETRY_MS)
    if isinstance(error, sqlalchemy.exc.DBAPIError):
        if error.connection_invalidated or isinstance(error, sqlalchemy.exc.InterfaceError):
            return DatabaseUnavailable(retry_after_ms=_RETRY_MS)
        return _by_sqlstate(getattr(error.orig, "sqlstate", None))
    if isinstance(error, asyncpg.PostgresError):
        return _by_sqlstate(error.sqlstate)
    return None


def _by_sqlstate(sqlstate: str | None) -> HeadwaterError | None:
    for length in (5, 2):
        found = _BY_SQLSTATE.get((sqlstate or "")[:length])
        if found is not None:
            return found(retry_after_ms=None if found is DeadlineExceeded else _RETRY_MS)
    return None


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[None]:
    """Around everything that talks to the database: translates errors, and stops when the caller's deadline passes.

    When it passes, the statement that runs is cancelled in the database as well (promise 9).
    """
    left_s = remaining_s()
    if left_s is not None and left_s <= 0:
        raise DeadlineExceeded
    try:
        async with asyncio.timeout(left_s) as deadline:
            yield
    except TimeoutError as error:
        if deadline.expired():
            raise DeadlineExceeded from error
        raise DatabaseUnavailable(retry_after_ms=_RETRY_MS) from error
    except (sqlalchemy.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        translated = translate(error)
        if translated is None:
            raise
        raise translated from error

"""Leases with fencing tokens: who may work on a thing, decided by the database's clock (promises 6 and 18).

    token = await self._leases.claim(tx, job.id, owner=self._me, ttl_s=30)  # None: somebody else has it
    ...work, renewing every ttl_s / 3...
    await self._leases.check(tx, job.id, token)  # in the transaction that writes the result

Who was stopped for longer than its lease learns at its next renew or check that it is nobody any more.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, Protocol

import sqlalchemy
from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Table, Text, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.clock import Clock
from headwater.errors import Aborted


class LeaseLost(Aborted):
    """The lease has run out or somebody else holds it now: drop the result."""

    reason = "LEASE_LOST"
    text = "Somebody else holds the lease now."


class Leases(Protocol):
    """Leases by key. A key's token grows with every claim, so that a stale holder can be told from the present one."""

    async def claim(self, tx: Any, /, key: str, owner: str, ttl_s: float) -> int | None:
        """A new token, larger than any before for this key; None while another owner's lease runs.

        The same owner may claim again at any time (it has been restarted, say); its older token is worth nothing then.
        """

    async def renew(self, tx: Any, /, key: str, token: int, ttl_s: float) -> None:
        """Let the lease run until ``ttl_s`` from now.

        Raises:
            LeaseLost: it has run out already, or a newer token is out.
        """

    async def check(self, tx: Any, /, key: str, token: int) -> None:
        """Return if the lease runs, and let nobody else claim it before ``tx`` ends.

        Raises:
            LeaseLost: it has run out, or a newer token is out.
        """

    async def release(self, tx: Any, /, key: str, token: int) -> None:
        """Give the lease back, so that it can be claimed at once; nothing happens if it is lost already."""

    async def held(self, tx: Any, /, keys: Collection[str]) -> frozenset[str]:
        """Those of ``keys`` whose lease runs: what there is no point in claiming now."""


class PostgresLeases(Leases):
    """Kept in the service's table ``leases`` (see :func:`create_leases_table`); ``tx`` is an AsyncConnection."""

    async def claim(self, tx: AsyncConnection, /, key: str, owner: str, ttl_s: float) -> int | None:
        """See Leases."""
        row = insert(_LEASES).values(key=key, owner=owner, token=1, expires_at=_after(ttl_s))
        row = row.on_conflict_do_update(
            index_elements=["key"],
            set_={"owner": row.excluded.owner, "token": _LEASES.c.token + 1, "expires_at": _after(ttl_s)},
            where=(_LEASES.c.expires_at <= _NOW) | (_LEASES.c.owner == row.excluded.owner),
        )
        token: int | None = (await tx.execute(row.returning(_LEASES.c.token))).scalar_one_or_none()
        return token

    async def renew(self, tx: AsyncConnection, /, key: str, token: int, ttl_s: float) -> None:
        """See Leases."""
        renewed = _LEASES.update().where(_held(key, token)).values(expires_at=_after(ttl_s))
        if (await tx.execute(renewed)).rowcount == 0:
            raise LeaseLost(key=key, token=token)

    async def check(self, tx: AsyncConnection, /, key: str, token: int) -> None:
        """See Leases."""
        held = sqlalchemy.select(_LEASES.c.token).where(_held(key, token)).with_for_update()
        if (await tx.execute(held)).first() is None:
            raise LeaseLost(key=key, token=token)

    async def release(self, tx: AsyncConnection, /, key: str, token: int) -> None:
        """See Leases."""
        # The row stays, because its token must go on growing.
        await tx.execute(_LEASES.update().where(_held(key, token)).values(expires_at=_NOW))

    async def held(self, tx: AsyncConnection, /, keys: Collection[str]) -> frozenset[str]:
        """See Leases."""
        running = sqlalchemy.select(_LEASES.c.key).where(_LEASES.c.key.in_(keys), _LEASES.c.expires_at > _NOW)
        return frozenset((await tx.execute(running)).scalars())


class MemoryLeases(Leases):
    """Kept in memory, by ``clock``; ``tx`` is ignored."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}

    async def claim(self, _tx: Any, /, key: str, owner: str, ttl_s: float) -> int | None:
        """See Leases."""
        row = self._rows.get(key, _Row("", 0, 0.0))
        if row.expires_at > self._clock.monotonic() and row.owner != owner:
            return None
        self._rows[key] = _Row(owner, row.token + 1, self._clock.monotonic() + ttl_s)
        return row.token + 1

    async def renew(self, _tx: Any, /, key: str, token: int, ttl_s: float) -> None:
        """See Leases."""
        row = self._held(key, token)
        self._rows[key] = dataclasses.replace(row, expires_at=self._clock.monotonic() + ttl_s)

    async def check(self, _tx: Any, /, key: str, token: int) -> None:
        """See Leases."""
        self._held(key, token)

    async def release(self, _tx: Any, /, key: str, token: int) -> None:
        """See Leases."""
        row = self._rows.get(key)
        if row is not None and row.token == token:
            self._rows[key] = dataclasses.replace(row, expires_at=0.0)

    async def held(self, _tx: Any, /, keys: Collection[str]) -> frozenset[str]:
        """See Leases."""
        running = {key for key, row in self._rows.items() if row.expires_at > self._clock.monotonic()}
        return frozenset(running.intersection(keys))

    def _held(self, key: str, token: int) -> "_Row":
        row = self._rows.get(key)
        if row is None or row.token != token or row.expires_at <= self._clock.monotonic():
            raise LeaseLost(key=key, token=token)
        return row


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    owner: str
    token: int
    expires_at: float


def _columns() -> list[Column[Any]]:
    return [
        Column("key", Text, primary_key=True),
        Column("owner", Text, nullable=False),
        Column("token", BigInteger, nullable=False),
        Column("expires_at", DateTime(timezone=True), nullable=False),
    ]


_LEASES = Table("leases", sqlalchemy.MetaData(), *_columns())
# Not now(), which stands still during a transaction: a lease must not be renewed after it ran out in the meantime.
_NOW = func.clock_timestamp()


def _after(ttl_s: float) -> sqlalchemy.ColumnElement[Any]:
    return _NOW + func.make_interval(0, 0, 0, 0, 0, 0, ttl_s)


def _held(key: str, token: int) -> sqlalchemy.ColumnElement[bool]:
    return sqlalchemy.and_(_LEASES.c.key == key, _LEASES.c.token == token, _LEASES.c.expires_at > _NOW)


def create_leases_table() -> None:
    """Create the table ``leases``; for a migration's ``upgrade()``."""
    op.create_table("leases", *_columns())

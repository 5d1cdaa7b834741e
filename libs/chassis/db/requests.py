"""What has been answered already, so that a retry gets the first answer again (promise 4).

    first = await self._requests.first_result(tx, "CreateModel", request.request_id, body_digest(request))
    if first is not None:
        return await self.get(first)
    ...
    await self._requests.remember(tx, "CreateModel", request.request_id, body_digest(request), str(model.name))

Both calls belong to the transaction that makes the change. ``body_digest`` is taken over the request as it was sent.
"""

import hashlib
from typing import Any, Protocol

import sqlalchemy
from alembic import op
from google.protobuf.message import Message
from sqlalchemy import Column, DateTime, Table, Text, func, literal_column
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.errors import AlreadyExists

RETENTION_S = 7 * 86_400
"""How long an answer is remembered, from its first request on."""


class RequestIdReused(AlreadyExists):
    """The same request id came before with another body."""

    reason = "REQUEST_ID_REUSED"
    text = "This request_id was used before with another body."


def body_digest(message: Message) -> str:
    """The SHA-256 of the message's deterministic serialisation, in hex."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


class Requests(Protocol):
    """The memory of answered requests; ``tx`` is the transaction of the change. An empty id is never remembered."""

    async def first_result(self, tx: Any, /, method: str, request_id: str, body_digest: str) -> str | None:
        """What the first call with this id gave, or None if this is the first.

        While another call with the same id is under way this waits for its end.

        Raises:
            RequestIdReused: the first call had another body.
        """

    async def remember(self, tx: Any, /, method: str, request_id: str, body_digest: str, result: str) -> None:
        """Note what this call gave (a resource name, say). Takes effect when ``tx`` commits."""


class PostgresRequests(Requests):
    """Kept in the service's table ``requests`` (see :func:`create_requests_table`); ``tx`` is an AsyncConnection."""

    def __init__(self, retention_s: float = RETENTION_S) -> None:
        self._retention = func.make_interval(0, 0, 0, 0, 0, 0, retention_s)

    async def first_result(self, tx: AsyncConnection, /, method: str, request_id: str, body_digest: str) -> str | None:
        """See Requests."""
        if not request_id:
            return None
        # The row is claimed before the work, not noted after it: a second call with the same id waits here for the
        # first one's commit. A row past its retention is as good as none.
        now = func.clock_timestamp()
        row = {"method": method, "request_id": request_id, "body_digest": body_digest, "result": None}
        claim = insert(_REQUESTS).values(**row, expires_at=now + self._retention)
        claim = claim.on_conflict_do_update(
            index_elements=["method", "request_id"],
            set_={"body_digest": claim.excluded.body_digest, "result": None, "expires_at": claim.excluded.expires_at},
            where=_REQUESTS.c.expires_at <= now,
        )
        if (await tx.execute(claim.returning(literal_column("1")))).first() is not None:
            return None
        stored = (await tx.execute(_REQUESTS.select().where(_of(method, request_id)))).one()
        if stored.body_digest != body_digest:
            raise RequestIdReused(method=method, request_id=request_id)
        return None if stored.result is None else str(stored.result)

    async def remember(
        self, tx: AsyncConnection, /, method: str, request_id: str, body_digest: str, result: str
    ) -> None:
        """See Requests."""
        if not request_id:
            return
        claimed = sqlalchemy.and_(_of(method, request_id), _REQUESTS.c.body_digest == body_digest)
        if (await tx.execute(_REQUESTS.update().where(claimed).values(result=result))).rowcount != 1:
            raise RuntimeError("remember() needs first_result() before it, in the same transaction")

    async def forget_expired(self, tx: AsyncConnection) -> int:
        """Remove what is past its retention; for a background task. Returns how many."""
        expired = _REQUESTS.delete().where(_REQUESTS.c.expires_at <= func.clock_timestamp())
        return (await tx.execute(expired)).rowcount


class MemoryRequests(Requests):
    """Kept in memory, without end; ``tx`` is ignored."""

    def __init__(self) -> None:
        self._answered: dict[tuple[str, str], tuple[str, str]] = {}

    async def first_result(self, _tx: Any, /, method: str, request_id: str, body_digest: str) -> str | None:
        """See Requests."""
        if (method, request_id) not in self._answered:
            return None
        first_digest, result = self._answered[method, request_id]
        if first_digest != body_digest:
            raise RequestIdReused(method=method, request_id=request_id)
        return result

    async def remember(self, _tx: Any, /, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See Requests."""
        if request_id:
            self._answered[method, request_id] = body_digest, result


def _of(method: str, request_id: str) -> sqlalchemy.ColumnElement[bool]:
    return sqlalchemy.and_(_REQUESTS.c.method == method, _REQUESTS.c.request_id == request_id)


def _columns() -> list[Column[Any]]:
    return [
        Column("method", Text, primary_key=True),
        Column("request_id", Text, primary_key=True),
        Column("body_digest", Text, nullable=False),
        Column("result", Text),
        Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    ]


_REQUESTS = Table("requests", sqlalchemy.MetaData(), *_columns())


def create_requests_table() -> None:
    """Create the table ``requests``; for a migration's ``upgrade()``."""
    op.create_table("requests", *_columns())

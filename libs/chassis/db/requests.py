"""What has been answered already, so that a retry gets the first answer again (promise 4).

    first = await self._requests.first_result(tx, "CreateModel", request.request_id, body_digest(request))
    if first is not None:
        return await self.get(first)
    ...
    await self._requests.remember(tx, "CreateModel", request.request_id, body_digest(request), str(model.name))

Both calls belong to the transaction that makes the change.
"""

from typing import Any, Protocol

from google.protobuf.message import Message

from headwater.errors import AlreadyExists


class RequestIdReused(AlreadyExists):
    """The same request id came before with another body."""

    reason = "REQUEST_ID_REUSED"
    text = "This request_id was used before with another body."


def body_digest(message: Message) -> str:
    """The SHA-256 of the message's deterministic serialisation, in hex."""
    raise NotImplementedError


class Requests(Protocol):
    """The memory of answered requests; ``tx`` is the transaction of the change. An empty request id is never remembered."""

    async def first_result(self, tx: Any, method: str, request_id: str, body_digest: str) -> str | None:
        """What the first call with this id gave, or None if this is the first."""

    async def remember(self, tx: Any, method: str, request_id: str, body_digest: str, result: str) -> None:
        """Note what this call gave."""


class PostgresRequests(Requests):
    """Kept in the service's table ``requests``; ``tx`` is an AsyncConnection."""


class MemoryRequests(Requests):
    """Kept in memory; ``tx`` is ignored."""


def create_requests_table() -> None:
    """Create the table ``requests``; for a migration's ``upgrade()``."""
    raise NotImplementedError

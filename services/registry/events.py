"""The record of every change: one row, in the transaction that makes the change."""

import dataclasses
import datetime
import hashlib
import json
from typing import Any, Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """``actor`` changed ``object``, a resource name. A digest is empty where there is nothing before or after."""

    actor: str
    kind: str
    object: str
    before_digest: str
    after_digest: str
    time: datetime.datetime


class EventStore(Protocol):
    """Where events go; nothing is ever changed or removed there."""

    async def append(self, event: Event) -> None:
        """Add ``event`` after all others."""


def digest_of(value: Any) -> str:
    """The digest of a frozen value: SHA-256 of its fields as canonical JSON. Empty for None."""
    if value is None:
        return ""
    text = json.dumps(dataclasses.asdict(value), sort_keys=True, separators=(",", ":"), default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def event(origin_actor: str, kind: str, name: object, before: Any, after: Any, time: datetime.datetime) -> Event:
    """The event of ``name`` going from ``before`` to ``after`` (frozen values or None)."""
    return Event(origin_actor, kind, str(name), digest_of(before), digest_of(after), time)

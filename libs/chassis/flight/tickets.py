"""Signed tickets: what GetFlightInfo gave to one caller can be redeemed by that caller only, unchanged and in time.

1 byte version | 8 bytes expiry (Unix seconds) | 32 bytes SHA-256 of the subject | payload | 32 bytes HMAC-SHA256
"""

import hashlib
import hmac
import struct
import time
from collections.abc import Callable

from headwater.errors import InvalidArgument, Unauthenticated

MAX_TICKET_BYTES = 64 * 1024
_VERSION = 1
_HEAD = struct.Struct(">BQ32s")
_SIGNATURE_BYTES = 32


class InvalidTicket(InvalidArgument):
    """These bytes are no ticket of this service."""

    reason = "INVALID_TICKET"
    text = "The ticket is not one of ours; ask GetFlightInfo for one."


class ExpiredTicket(Unauthenticated):
    """The ticket was valid and is too old."""

    reason = "EXPIRED_TICKET"
    text = "The ticket has expired; ask GetFlightInfo for a new one."


class ForeignTicket(Unauthenticated):
    """The ticket was given to somebody else."""

    reason = "FOREIGN_TICKET"
    text = "The ticket was given to another caller; ask GetFlightInfo for one of your own."


class Tickets:
    """Signs and opens tickets with one key."""

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now = now

    def sign(self, payload: bytes, subject: str, ttl_s: float) -> bytes:
        """A ticket that holds ``payload`` for ``subject`` and is valid for ``ttl_s`` seconds.

        Raises:
            ValueError: the payload does not fit into ``MAX_TICKET_BYTES``.
        """
        body = _HEAD.pack(_VERSION, int(self._now() + ttl_s), _digest(subject)) + payload
        if len(body) + _SIGNATURE_BYTES > MAX_TICKET_BYTES:
            raise ValueError(f"a ticket of {len(body)} bytes is too long")
        return body + hmac.digest(self._key, body, hashlib.sha256)

    def open(self, ticket: bytes, subject: str) -> bytes:
        """The payload of a ticket that ``subject`` redeems.

        Raises:
            InvalidTicket: random, changed, cut or too long.
            ExpiredTicket: too old.
            ForeignTicket: signed for another subject.
        """
        if not _HEAD.size + _SIGNATURE_BYTES <= len(ticket) <= MAX_TICKET_BYTES:
            raise InvalidTicket()
        body, signature = ticket[:-_SIGNATURE_BYTES], ticket[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, hmac.digest(self._key, body, hashlib.sha256)):
            raise InvalidTicket()
        version, expires_at, owner = _HEAD.unpack_from(body)
        if version != _VERSION:
            raise InvalidTicket()
        if self._now() >= expires_at:
            raise ExpiredTicket()
        if not hmac.compare_digest(owner, _digest(subject)):
            raise ForeignTicket()
        return body[_HEAD.size :]


def _digest(subject: str) -> bytes:
    return hashlib.sha256(subject.encode()).digest()

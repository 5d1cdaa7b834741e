"""Leases with fencing tokens: who may work on a thing, decided by the database's clock (promises 6 and 18)."""

from typing import Any, Protocol

from headwater.errors import Aborted


class LeaseLost(Aborted):
    """The lease has run out or somebody else holds it now: drop the result."""

    reason = "LEASE_LOST"
    text = "Somebody else holds the lease now."


class Leases(Protocol):
    """Leases by key. A key's token grows with every claim, so that a stale holder can be told from the present one."""

    async def claim(self, tx: Any, key: str, owner: str, ttl_s: float) -> int | None:
        """A new token, larger than any before for this key; None while another owner's lease runs."""

    async def renew(self, tx: Any, key: str, token: int, ttl_s: float) -> None:
        """Prolong the lease to ``ttl_s`` from now, or raise LeaseLost."""

    async def check(self, tx: Any, key: str, token: int) -> None:
        """Return if the lease runs, and keep others from claiming it until ``tx`` ends; raise LeaseLost if not."""

    async def release(self, tx: Any, key: str, token: int) -> None:
        """Give the lease back; nothing happens if it is lost already."""


class PostgresLeases(Leases):
    """Kept in the service's table ``leases``; ``tx`` is an AsyncConnection."""


def create_leases_table() -> None:
    """Create the table ``leases``; for a migration's ``upgrade()``."""
    raise NotImplementedError

"""Leases in memory and in PostgreSQL (promises 6 and 18)."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from chassis.db.engine import Database
from chassis.db.lease import LeaseLost, Leases, MemoryLeases, PostgresLeases
from chassis.testing import ManualClock

Transaction = Callable[[], AbstractAsyncContextManager[Any]]
SHORT_S = 0.15
LONG_S = 60.0


class Case:
    """An implementation, each call in a transaction of its own."""

    def __init__(self, leases: Leases, transaction: Transaction, clock: ManualClock | None) -> None:
        self._leases = leases
        self._transaction = transaction
        self._clock = clock

    async def claim(self, owner: str, ttl_s: float = LONG_S, key: str = "job") -> int | None:
        async with self._transaction() as tx:
            return await self._leases.claim(tx, key, owner, ttl_s)

    async def renew(self, token: int, ttl_s: float = LONG_S) -> None:
        async with self._transaction() as tx:
            await self._leases.renew(tx, "job", token, ttl_s)

    async def check(self, token: int) -> None:
        async with self._transaction() as tx:
            await self._leases.check(tx, "job", token)

    async def release(self, token: int) -> None:
        async with self._transaction() as tx:
            await self._leases.release(tx, "job", token)

    async def held(self, *keys: str) -> frozenset[str]:
        async with self._transaction() as tx:
            return await self._leases.held(tx, keys)

    async def let_pass(self, seconds: float) -> None:
        """The database's clock is its own, so there the time has to pass."""
        if self._clock is not None:
            self._clock.advance(seconds)
        else:
            await asyncio.sleep(seconds)


@pytest.fixture(params=["memory", "postgres"])
def leases(request: pytest.FixtureRequest, clock: ManualClock) -> Case:
    if request.param == "memory":
        return Case(MemoryLeases(clock), contextlib.nullcontext, clock)
    return Case(PostgresLeases(), request.getfixturevalue("database").transaction, None)


async def test_one_owner_at_a_time(leases: Case) -> None:
    assert await leases.claim("a") is not None
    assert await leases.claim("b") is None


async def test_leases_of_other_keys_are_other_leases(leases: Case) -> None:
    assert await leases.claim("a", key="job") is not None
    assert await leases.claim("b", key="another job") is not None


async def test_a_lease_that_ran_out_goes_to_the_next_with_a_larger_token(leases: Case) -> None:
    first = await leases.claim("a", SHORT_S)
    await leases.let_pass(SHORT_S + 0.05)
    second = await leases.claim("b")
    assert first is not None
    assert second is not None
    assert second > first


async def test_a_renewed_lease_goes_on(leases: Case) -> None:
    token = await leases.claim("a", SHORT_S)
    assert token is not None
    await leases.renew(token, LONG_S)
    await leases.let_pass(SHORT_S + 0.05)
    assert await leases.claim("b") is None
    await leases.check(token)


async def test_a_lease_that_ran_out_cannot_be_renewed_or_used(leases: Case) -> None:
    token = await leases.claim("a", SHORT_S)
    assert token is not None
    await leases.let_pass(SHORT_S + 0.05)
    with pytest.raises(LeaseLost):
        await leases.renew(token)
    with pytest.raises(LeaseLost):
        await leases.check(token)


async def test_the_stale_holder_is_refused_when_another_has_the_lease(leases: Case) -> None:
    """The worker that was stopped past its lease and goes on (promise 6)."""
    stale = await leases.claim("a", SHORT_S)
    assert stale is not None
    await leases.let_pass(SHORT_S + 0.05)
    token = await leases.claim("b")
    assert token is not None
    with pytest.raises(LeaseLost):
        await leases.check(stale)
    await leases.release(stale)
    await leases.check(token)


async def test_a_restarted_owner_claims_at_once_and_fences_its_former_self(leases: Case) -> None:
    before = await leases.claim("a")
    after = await leases.claim("a")
    assert before is not None
    assert after is not None
    assert after > before
    with pytest.raises(LeaseLost):
        await leases.check(before)


async def test_a_released_lease_can_be_claimed_at_once_and_its_token_still_grows(leases: Case) -> None:
    first = await leases.claim("a")
    assert first is not None
    await leases.release(first)
    with pytest.raises(LeaseLost):
        await leases.check(first)
    second = await leases.claim("b")
    assert second is not None
    assert second > first


async def test_held_are_the_keys_whose_lease_runs(leases: Case) -> None:
    released = await leases.claim("a", key="job")
    assert released is not None
    await leases.release(released)
    await leases.claim("a", SHORT_S, key="short")
    await leases.claim("a", key="long")
    await leases.let_pass(SHORT_S + 0.05)
    assert await leases.held("job", "short", "long", "never claimed") == {"long"}
    assert await leases.held() == frozenset()


async def test_nobody_holds_what_was_never_claimed(leases: Case) -> None:
    with pytest.raises(LeaseLost):
        await leases.check(1)


async def test_of_many_claims_at_once_exactly_one_wins(leases: Case) -> None:
    tokens = await asyncio.gather(*(leases.claim(f"owner {number}") for number in range(20)))
    assert len([token for token in tokens if token is not None]) == 1


async def test_a_checked_lease_cannot_be_taken_before_the_write_commits(database: Database) -> None:
    """Between the check and the commit the lease runs out, and yet nobody else gets in between."""
    leases = PostgresLeases()
    async with database.transaction() as tx:
        token = await leases.claim(tx, "job", "a", SHORT_S)
    assert token is not None

    async def claim() -> int | None:
        async with database.transaction() as tx:
            return await leases.claim(tx, "job", "b", LONG_S)

    async with database.transaction() as tx:
        await leases.check(tx, "job", token)
        claiming = asyncio.create_task(claim())
        done, _ = await asyncio.wait([claiming], timeout=2 * SHORT_S)
        assert not done
    assert await claiming == token + 1

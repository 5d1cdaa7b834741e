"""Word of changes between processes, and without Redis (promise 7)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio

from chassis.embedded import EmbeddedValkey
from services.training_scheduler.jobs.changes import Changes, Listener

CHANNEL = "headwater:training:changed"


@pytest.fixture
def valkey(start_valkey: Callable[[], EmbeddedValkey]) -> EmbeddedValkey:
    """A Valkey that the test may stop."""
    return start_valkey()


@pytest.fixture
async def pair(valkey: EmbeddedValkey) -> AsyncIterator[tuple[Changes, Changes]]:
    """The changes of two processes."""
    both = Changes(valkey.url), Changes(valkey.url)
    relays = [asyncio.create_task(changes.relay()) for changes in both]
    await until_heard(*both)
    yield both
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
    for changes in both:
        await changes.close()


async def heard(listener: Listener, timeout_s: float) -> bool:
    """Whether word came before the time was over."""
    begun = time.monotonic()
    await listener.wait(timeout_s)
    return time.monotonic() - begun < timeout_s


async def until_heard(teller: Changes, hearer: Changes) -> None:
    """Return when word goes from one to the other."""
    async with asyncio.timeout(15):
        with hearer.listen("probe") as listener:
            while not await heard(listener, 0.1):
                await teller.tell("probe")


async def test_word_reaches_listeners_of_its_topic_in_every_process(pair: tuple[Changes, Changes]) -> None:
    first, second = pair
    with first.listen("a") as here, second.listen("a") as there, second.listen("b") as elsewhere:
        await first.tell("a")
        assert await heard(here, 5)
        assert await heard(there, 5)
        assert not await heard(elsewhere, 0.2)


async def test_garbage_and_an_emptied_redis_harm_nobody(pair: tuple[Changes, Changes], valkey: EmbeddedValkey) -> None:
    async with redis.asyncio.Redis.from_url(valkey.url) as client:
        for garbage in (b"", b"\xff\xfe", b"x" * 100_000):
            await client.publish(CHANNEL, garbage)
        await client.flushall()
    with pair[1].listen("a") as listener:
        await pair[0].tell("a")
        assert await heard(listener, 5)


async def test_without_redis_telling_is_quick_and_word_goes_again_when_it_is_back(
    pair: tuple[Changes, Changes], valkey: EmbeddedValkey
) -> None:
    port = valkey.port
    await asyncio.to_thread(valkey.stop)
    with pair[0].listen("a") as here:
        begun = time.monotonic()
        for _ in range(100):
            await pair[0].tell("a")
        assert time.monotonic() - begun < 2
        assert await heard(here, 1)
    await asyncio.to_thread(valkey.start, port)
    await until_heard(*pair)

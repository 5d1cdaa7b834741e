"""The cache: keys that hold everything a result depends on, and two tiers that may be lost (N-05, R-45, X-02, X-03)."""

import pytest
import redis.asyncio

from headwater.transforms.model import Step
from services.preprocessing.cache.keys import prefix_key
from services.preprocessing.cache.tiers import StepCache

STEPS = (Step("a", "image_decode", {"mode": "gray"}), Step("b", "image_resize", {"width": 8, "height": 8}))


def test_the_key_depends_on_the_input() -> None:
    """X-02: the second image never gets the first one's result."""
    assert prefix_key("sha256:aa", STEPS, "1") != prefix_key("sha256:bb", STEPS, "1")


def test_the_key_depends_on_options_and_engine_but_not_on_names_or_key_order() -> None:
    key = prefix_key("sha256:aa", STEPS, "1")
    renamed = (Step("x", "image_decode", {"mode": "gray"}), Step("y", "image_resize", {"height": 8, "width": 8}, True))
    assert prefix_key("sha256:aa", renamed, "1") == key
    assert prefix_key("sha256:aa", STEPS, "2") != key
    assert prefix_key("sha256:aa", STEPS[:1], "1") != key


async def test_the_least_recently_used_goes_first() -> None:
    """X-03: full means one out, not all out."""
    cache = StepCache(30, None)
    for key in "abc":
        await cache.put(key, b"x" * 10)
    await cache.get("a")
    await cache.put("d", b"x" * 10)
    assert [await cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert cache.stats().eviction_count == 1
    assert cache.stats().size_bytes == 30


async def test_what_is_larger_than_the_whole_tier_pushes_nothing_out() -> None:
    cache = StepCache(10, None)
    await cache.put("a", b"x")
    await cache.put("b", b"x" * 11)
    assert await cache.get("a") == b"x"


async def test_a_second_process_finds_what_the_first_kept(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await StepCache(100, client).put("key", b"value")
        second = StepCache(100, client)
        assert await second.get("key") == b"value"
        assert second.stats().hit_count == 1


@pytest.mark.parametrize("garbage", [b"", b"short", b"\0" * 40, b"\xff" * 100])
async def test_a_value_that_was_tampered_with_is_a_miss(redis_url: str, garbage: bytes) -> None:
    """Promise 7: garbage in Redis makes it slower, never wrong."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await StepCache(100, client).put("key", b"value")
        (stored,) = await client.keys("*key")
        await client.set(stored, garbage)
        assert await StepCache(100, client).get("key") is None


async def test_without_redis_the_cache_still_works() -> None:
    """Promise 7: absence."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=1) as client:
        cache = StepCache(100, client)
        await cache.put("key", b"value")
        assert await cache.get("key") == b"value"
        assert await cache.get("other") is None


async def test_clearing_empties_both_tiers(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        cache = StepCache(100, client)
        await cache.put("key", b"value")
        await client.set("somebody else's", b"1")
        await cache.clear()
        assert await cache.get("key") is None
        assert await client.get("somebody else's") == b"1"

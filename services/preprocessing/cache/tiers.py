"""The cache: an in-process LRU before Redis. Losing either makes it slower, never wrong (promise 7).

What Redis returns is checked against the digest stored with it: truncated or foreign values are misses.
"""

import collections
import contextlib
import hashlib
from typing import Final

import redis.asyncio
import redis.exceptions

from services.preprocessing.cache.model import CacheStats

REDIS_TTL_S: Final = 7 * 24 * 3600
REDIS_MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
_DIGEST_BYTES: Final = 32
_PREFIX: Final = "headwater:preprocessing:step:"


class StepCache:
    """Step results by key.

    Args:
        max_size_bytes: bound of the in-process tier; the least recently used results go first (R-45, X-03).
        redis_client: the shared tier; None works without one.
    """

    def __init__(self, max_size_bytes: int, redis_client: redis.asyncio.Redis | None) -> None:
        self._max = max_size_bytes
        self._redis = redis_client
        self._local: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self._size = 0
        self._hits = self._misses = self._evictions = 0

    async def get(self, key: str) -> bytes | None:
        """The result, or None."""
        value = self._local.get(key)
        if value is not None:
            self._local.move_to_end(key)
        else:
            value = await self._from_redis(key)
            if value is not None:
                self._keep(key, value)
        self._hits += value is not None
        self._misses += value is None
        return value

    async def put(self, key: str, value: bytes) -> None:
        """Keep a result in both tiers, as far as it fits."""
        self._keep(key, value)
        if self._redis is not None and len(value) <= REDIS_MAX_VALUE_BYTES:
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                await self._redis.set(_PREFIX + key, hashlib.sha256(value).digest() + value, ex=REDIS_TTL_S)

    async def clear(self) -> None:
        """Forget everything, in both tiers.

        Raises:
            redis.exceptions.RedisError: the shared tier could not be cleared.
        """
        self._local.clear()
        self._size = 0
        if self._redis is not None:
            async for key in self._redis.scan_iter(match=_PREFIX + "*", count=1000):
                await self._redis.unlink(key)

    def stats(self) -> CacheStats:
        """What the in-process tier holds and how often the cache helped, since the start."""
        return CacheStats(self._size, self._max, len(self._local), self._hits, self._misses, self._evictions)

    async def _from_redis(self, key: str) -> bytes | None:
        if self._redis is None:
            return None
        try:
            stored = await self._redis.get(_PREFIX + key)
        except (redis.exceptions.RedisError, OSError):
            return None
        if not isinstance(stored, bytes) or hashlib.sha256(stored[_DIGEST_BYTES:]).digest() != stored[:_DIGEST_BYTES]:
            return None
        return stored[_DIGEST_BYTES:]

    def _keep(self, key: str, value: bytes) -> None:
        if len(value) > self._max:
            return
        self._size += len(value) - len(self._local.pop(key, b""))
        self._local[key] = value
        while self._size > self._max:
            _, dropped = self._local.popitem(last=False)
            self._size -= len(dropped)
            self._evictions += 1

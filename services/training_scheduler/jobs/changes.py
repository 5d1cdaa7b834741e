"""Word that a job has changed, so that nobody has to look all the time.

Word may be late, lost or wrong, and whoever waits for it also looks without it now and then: Redis away means slower,
never wrong (promise 7).
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator

import redis.asyncio
import structlog
from redis.exceptions import RedisError

WAITING = "waiting"
"""The topic under which word is that a job waits for a scheduler or that there is room for one."""
_CHANNEL = "headwater:training:changed"
_RETRY_S = 2.0
_TIMEOUT_S = 0.5
_log = structlog.get_logger()


class Listener:
    """One who waits for word on one topic."""

    def __init__(self) -> None:
        self._word = asyncio.Event()

    def wake(self) -> None:
        """There is word."""
        self._word.set()

    async def wait(self, timeout_s: float) -> None:
        """Return when there was word since the last time, or when ``timeout_s`` are over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._word.wait(), timeout_s)
        self._word.clear()


class Changes:
    """Carries word within this process and, where ``redis_url`` is given, between processes.

    A topic is the id of a job that has changed, or WAITING.
    """

    def __init__(self, redis_url: str = "") -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._redis = _connect(redis_url) if redis_url else None
        self._away_until = 0.0

    async def tell(self, topic: str) -> None:
        """There is word for listeners everywhere."""
        self.wake(topic)
        if self._redis is None or time.monotonic() < self._away_until:
            return
        try:
            await self._redis.publish(_CHANNEL, topic)
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + _RETRY_S  # so that not every change waits for a server that is gone
            _log.warning("word of changes goes no further than this process", error=str(error))

    def wake(self, topic: str) -> None:
        """There is word for listeners in this process."""
        for listener in self._listeners.get(topic, ()):
            listener.wake()

    @contextlib.contextmanager
    def listen(self, topic: str) -> Iterator[Listener]:
        """A listener for one topic."""
        listener = Listener()
        self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]

    async def relay(self) -> None:
        """Pass on word from other processes, for ever; for a background task."""
        while self._redis is not None:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(_CHANNEL)
                    while True:
                        message = await subscription.get_message(timeout=60)
                        if message is not None:
                            self.wake(message["data"].decode(errors="replace"))
            except (RedisError, OSError) as error:
                _log.debug("no word from other processes", error=str(error))
            await asyncio.sleep(_RETRY_S)

    async def close(self) -> None:
        """Disconnect."""
        if self._redis is not None:
            await self._redis.aclose()


def _connect(url: str) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)

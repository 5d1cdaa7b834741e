"""Loops that run beside the calls: restarted when they fail, cancelled when the service ends."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 30.0
_CALM_S = 60.0
"""After so long without a failure the next one is treated as the first."""

_log = structlog.get_logger("chassis.background")


class Background:
    """The background tasks of one service."""

    def __init__(self) -> None:
        self._runs: dict[str, Callable[[], Awaitable[None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """``run`` is called when the service starts, and again, after a pause, whenever it raises."""
        self._runs[name] = run

    def start(self) -> None:
        """Start what was added."""
        self._tasks = [asyncio.create_task(_keep_running(name, run), name=name) for name, run in self._runs.items()]

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    delay_s = _FIRST_DELAY_S
    while True:
        begun = time.monotonic()
        try:
            await run()
        except Exception as error:
            if time.monotonic() - begun > _CALM_S:
                delay_s = _FIRST_DELAY_S
            _log.error("background task failed, will run again", task=name, delay_s=delay_s, exc_info=error)
        else:
            return  # it has done what it was for
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 (so that replicas do not go in step)
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)

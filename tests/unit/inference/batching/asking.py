"""Requests to a batcher, and waiting for what it does with them."""

import asyncio
from collections.abc import Callable

import numpy as np

from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Limits
from services.inference.batching.waiting import NEVER, Computed
from tests.unit.inference.engines import HeldEngine
from tests.unit.inference.waiting import eventually

LIMITS = Limits(max_batch_rows=64, max_queue_requests=1024, max_queue_bytes=2**26)

Make = Callable[..., Batcher]


def rows(*values: float, columns: int = 2) -> list[np.ndarray]:
    """An input with a row for each value."""
    return [np.repeat(np.array(values, np.float32)[:, None], columns, axis=1)]


async def began(engine: HeldEngine) -> None:
    """Wait until the engine computes once more."""
    await asyncio.to_thread(engine.began.acquire)


async def queued(batcher: Batcher, length: int) -> None:
    """Wait until so many requests wait; whoever calls this has just started them."""
    await eventually(lambda: batcher.queue_length == length)


async def start(batcher: Batcher, engine: HeldEngine, *values: float) -> "asyncio.Task[Computed]":
    """Keep the engine busy with a request."""
    engine.gate.clear()
    task = asyncio.create_task(batcher.compute(rows(*values)))
    await began(engine)
    return task


async def ask(
    batcher: Batcher, *values: float, priority: int = 0, deadline: float = NEVER
) -> "list[asyncio.Task[Computed]]":
    """One request for each value, in this order; they wait when this returns."""
    before = batcher.queue_length
    tasks = [
        asyncio.create_task(batcher.compute(rows(value), priority=priority, deadline=deadline)) for value in values
    ]
    await queued(batcher, before + len(values))
    return tasks

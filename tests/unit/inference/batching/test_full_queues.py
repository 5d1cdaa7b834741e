"""Queues are bounded; who finds one full is told so at once."""

import asyncio

import pytest

from services.inference.batching.options import Limits
from services.inference.errors import QueueFull
from tests.unit.inference.batching.asking import Make, queued, rows, start
from tests.unit.inference.engines import HeldEngine


async def test_a_full_queue_refuses_with_a_hint_when_to_come_back(make: Make) -> None:
    """Promise 8."""
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(64, 3))
    first = await start(batcher, engine, 0)
    waiting = [asyncio.create_task(batcher.compute(rows(value))) for value in range(3)]
    await queued(batcher, 3)

    with pytest.raises(QueueFull) as refused:
        await batcher.compute(rows(9))

    assert refused.value.retry_after_ms is not None
    assert refused.value.retry_after_ms > 0
    engine.gate.set()
    assert len(await asyncio.gather(first, *waiting)) == 4, "those who waited are answered"
    assert (await batcher.compute(rows(9))).outputs[0].tolist() == [[18, 18]]


async def test_the_queue_is_bounded_in_bytes_too(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(64, 1024, max_queue_bytes=1000))
    first = await start(batcher, engine, 0)
    waiting = asyncio.create_task(batcher.compute(rows(*range(100))))
    await queued(batcher, 1)

    with pytest.raises(QueueFull):
        await batcher.compute(rows(*range(100)))

    engine.gate.set()
    await asyncio.gather(first, waiting)
    await batcher.compute(rows(*range(100)))

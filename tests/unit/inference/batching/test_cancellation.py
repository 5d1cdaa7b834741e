"""Callers that go away: what they leave, and what they do to others. Nothing."""

import asyncio
import gc
import weakref

import numpy as np
import pytest

from services.inference.errors import ModelNotReady
from tests.unit.inference.batching.asking import Make, began, queued, rows, start
from tests.unit.inference.engines import HeldEngine


async def test_ten_thousand_cancelled_requests_leak_nothing(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    alive: list[weakref.ref[np.ndarray]] = []
    for _ in range(10):
        inputs = [rows(value) for value in range(1000)]
        alive += [weakref.ref(each[0]) for each in inputs]
        tasks = [asyncio.create_task(batcher.compute(each)) for each in inputs]
        del inputs
        await queued(batcher, 1000)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        del tasks, results, task
        assert batcher.queue_length == 0
    await asyncio.sleep(0)  # the loop itself still holds the last ones
    gc.collect()
    assert not [each for each in alive if each() is not None]

    engine.gate.set()
    await first
    assert (await batcher.compute(rows(4))).outputs[0].tolist() == [[8, 8]]
    assert engine.batches == [1, 1], "none of the cancelled ones was computed"


async def test_a_deadline_takes_a_request_out_of_the_queue(make: Make) -> None:
    """Promise 9."""
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await batcher.compute(rows(1))

    assert batcher.queue_length == 0
    engine.gate.set()
    await first


async def test_a_computation_for_which_nobody_waits_is_stopped(make: Make) -> None:
    """Promise 9: cancellations reach the worker."""
    engine = HeldEngine()
    batcher = make(engine)
    busy = await start(batcher, engine, 0)
    pair = [asyncio.create_task(batcher.compute(rows(value))) for value in (1, 2)]
    await queued(batcher, 2)
    busy.cancel()
    await began(engine)
    pair[0].cancel()
    await asyncio.sleep(0.05)
    assert engine.batches == [1, 2], "somebody still waits"

    pair[1].cancel()
    last = asyncio.create_task(batcher.compute(rows(3)))
    await began(engine)
    engine.gate.set()

    assert (await last).outputs[0].tolist() == [[6, 6]]
    assert engine.batches == [1, 2, 1]


async def test_closing_answers_what_was_accepted_and_nothing_more(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    waiting = asyncio.create_task(batcher.compute(rows(1)))
    await queued(batcher, 1)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)

    with pytest.raises(ModelNotReady):
        await batcher.compute(rows(2))
    engine.gate.set()
    await asyncio.gather(first, closing)

    assert (await waiting).outputs[0].tolist() == [[2, 2]]
    assert engine.closed
    await batcher.close()

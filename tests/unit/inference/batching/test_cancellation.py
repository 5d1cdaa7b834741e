"""Callers that go away: what they leave, and what they do to others. Nothing."""

import asyncio
import gc
import random
import time
import weakref
from collections.abc import Sequence

import numpy as np
import pytest

from services.inference.batching.options import Limits
from services.inference.errors import ModelNotReady
from services.inference.tensors.model import Array
from tests.unit.inference.batching.asking import Make, ask, began, queued, rows, start
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


async def test_after_ten_thousand_cancelled_requests_a_fresh_one_is_answered(make: Make) -> None:
    """Cancelled everywhere at once: in the queue, while their batch is computed, between the two."""
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(8, 4096))
    chance = random.Random(7)

    async def give_up(value: float) -> None:
        task = asyncio.create_task(batcher.compute(rows(value)))
        await asyncio.sleep(chance.choice([0, 0, 0.0001, 0.001]))
        task.cancel()
        await asyncio.wait([task])

    for wave in range(50):
        engine.gate.set() if wave % 3 else engine.gate.clear()
        canary = asyncio.create_task(batcher.compute(rows(-wave - 2.0)))
        await asyncio.gather(*(give_up(value) for value in range(200)))
        engine.gate.set()
        assert (await canary).outputs[0].tolist() == [[-2 * (wave + 2)] * 2]

    assert batcher.queue_length == 0
    assert (await batcher.compute(rows(4))).outputs[0].tolist() == [[8, 8]]


async def test_a_batch_whose_callers_went_before_it_began_is_not_computed(make: Make) -> None:
    """They go while the worker lays their rows together, when there is no computation yet that could be stopped."""

    class Gathering(HeldEngine):
        def gather(self, requests: Sequence[Sequence[Array]]) -> list[Array]:
            for task in pair:
                loop.call_soon_threadsafe(task.cancel)
            time.sleep(0.05)
            return super().gather(requests)

    loop = asyncio.get_running_loop()
    engine = Gathering()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    pair = await ask(batcher, 1, 2)
    engine.gate.set()
    await first
    await asyncio.wait(pair)

    assert (await batcher.compute(rows(3))).outputs[0].tolist() == [[6, 6]]
    assert engine.batches in ([1, 1], [1, 2, 1])
    assert all(task.cancelled() for task in pair)


async def test_an_engine_that_missed_the_stop_is_stopped_once_more(make: Make) -> None:
    """As ONNX Runtime does when it comes just before it begins."""

    class Drowsy(HeldEngine):
        asked = 0

        def stop(self) -> None:
            self.asked += 1
            if self.asked > 1:
                super().stop()

    engine = Drowsy()
    batcher = make(engine)
    hanging = await start(batcher, engine, 1)
    hanging.cancel()
    fresh = asyncio.create_task(batcher.compute(rows(2)))
    await began(engine)
    engine.gate.set()

    assert (await fresh).outputs[0].tolist() == [[4, 4]]
    assert engine.asked == 2


async def test_a_stop_never_hits_the_computation_after_the_one_it_was_for(make: Make) -> None:
    """Callers go away just as their answers come; whoever asks next is answered."""
    engine = HeldEngine()
    batcher = make(engine)
    for turn in range(300):
        leaving = asyncio.create_task(batcher.compute(rows(1)))
        await asyncio.to_thread(engine.began.acquire)
        leaving.cancel()
        fresh = await batcher.compute(rows(turn))
        assert fresh.outputs[0][0, 0] == 2 * turn
        await began(engine)
        await asyncio.wait([leaving])

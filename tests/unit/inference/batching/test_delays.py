"""Batchers that may wait: they do where it pays, never for too long, and not at all by default."""

import asyncio
import random
import time
from collections.abc import Sequence

import pytest

from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Limits
from services.inference.batching.rhythm import Rhythm
from services.inference.tensors.model import Array
from tests.unit.inference.batching.asking import Make, rows
from tests.unit.inference.engines import HeldEngine


class SlowEngine(HeldEngine):
    """Takes some time for a batch, and some for each of its rows."""

    def __init__(self, batch_s: float, row_s: float = 0.0) -> None:
        super().__init__()
        self._batch_s, self._row_s = batch_s, row_s

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        time.sleep(self._batch_s + self._row_s * len(inputs[0]))
        return super().predict(inputs)


async def measure(batcher: Batcher) -> None:
    """Let it see batches of one and of several rows, and that requests come fast."""
    for count in (1, 1, 2, 4, 8):
        await batcher.compute(rows(*range(count)))
    for _ in range(3):
        await asyncio.gather(*(pause(batcher, index * 0.001) for index in range(16)))


async def pause(batcher: Batcher, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await batcher.compute(rows(1))


async def test_by_default_an_idle_engine_never_waits(make: Make) -> None:
    engine = SlowEngine(0.005)
    batcher = make(engine)
    await measure(batcher)
    engine.batches.clear()

    await asyncio.gather(batcher.compute(rows(1)), pause(batcher, 0.001))

    assert engine.batches == [1, 1]


async def test_where_batches_are_cheap_and_requests_frequent_it_waits_for_some(make: Make) -> None:
    engine = SlowEngine(0.05)
    batcher = make(engine, limits=Limits(max_delay_s=0.5))
    await measure(batcher)
    engine.batches.clear()

    began = time.monotonic()
    await asyncio.gather(*(pause(batcher, index * 0.001) for index in range(16)))

    assert engine.batches[0] > 1, "the first request did not go alone"
    assert time.monotonic() - began < 1.0


async def test_where_rows_cost_what_they_cost_it_does_not_wait(make: Make) -> None:
    engine = SlowEngine(0.0, 0.004)
    batcher = make(engine, limits=Limits(max_delay_s=0.5))
    await measure(batcher)
    engine.batches.clear()

    await asyncio.gather(batcher.compute(rows(1)), pause(batcher, 0.001))

    assert engine.batches == [1, 1]


async def test_when_nobody_comes_any_more_it_gives_up_waiting(make: Make) -> None:
    batcher = make(SlowEngine(0.01), limits=Limits(max_delay_s=10.0))
    await measure(batcher)

    began = time.monotonic()
    await batcher.compute(rows(1))

    assert time.monotonic() - began < 1.0


def test_a_rhythm_is_that_of_arrivals_at_random() -> None:
    rhythm, chance, now = Rhythm(), random.Random(5), 1.0
    assert rhythm.rows_per_s(0.5) == 0
    seen = []
    for _ in range(2000):
        now += chance.expovariate(100)
        rhythm.arrive(2, now)
        seen.append(rhythm.rows_per_s(now))

    assert sorted(seen)[1000] == pytest.approx(200, rel=0.1)


def test_a_rhythm_is_that_of_the_burst_and_not_of_the_pause_before_it() -> None:
    rhythm, now = Rhythm(), 1.0
    for _ in range(10):
        now += 1.0
        for _ in range(20):
            now += 0.001
            rhythm.arrive(1, now)

    assert 300 < rhythm.rows_per_s(now) < 1000
    assert rhythm.rows_per_s(now + 0.5) == pytest.approx(2), "it slows down while nobody comes"

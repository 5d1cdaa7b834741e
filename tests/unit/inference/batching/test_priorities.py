"""Who goes first: lower levels, within them earlier deadlines; and nobody waits for ever."""

import asyncio
import time

import pytest

from services.inference.batching.options import Limits
from services.inference.batching.queue import OLDEST_EVERY
from services.inference.errors import InvalidRequest, QueueFull
from tests.unit.inference.batching.asking import Make, ask, queued, rows, start
from tests.unit.inference.engines import HeldEngine

ONE_BY_ONE = Limits(max_batch_rows=1, priority_levels=3, default_priority=2)


async def test_more_important_requests_are_computed_first(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=ONE_BY_ONE)
    first = await start(batcher, engine, 0)
    tasks = [
        *await ask(batcher, 31, priority=3),
        *await ask(batcher, 21),
        *await ask(batcher, 11, 12, priority=1),
        *await ask(batcher, 22, priority=2),
    ]
    engine.gate.set()
    await asyncio.gather(first, *tasks)

    assert engine.values == [[0], [11], [12], [21], [22], [31]], "who names no priority has the default one, 2"


async def test_a_batch_is_filled_up_with_what_is_less_important(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(3, priority_levels=2))
    first = await start(batcher, engine, 0)
    tasks = [*await ask(batcher, 21, 22), *await ask(batcher, 11, 12, priority=1)]
    engine.gate.set()
    await asyncio.gather(first, *tasks)

    assert engine.values == [[0], [11, 12, 21], [22]]


async def test_of_equal_importance_the_earlier_deadline_goes_first(make: Make) -> None:
    """One without a deadline is not put off by one that is an hour away."""
    engine = HeldEngine()
    batcher = make(engine, limits=ONE_BY_ONE)
    first = await start(batcher, engine, 0)
    now = time.monotonic()
    tasks = [
        *await ask(batcher, 4),
        *await ask(batcher, 5, deadline=now + 3600),
        *await ask(batcher, 3, deadline=now + 7),
        *await ask(batcher, 2, deadline=now + 5),
        *await ask(batcher, 1, priority=1),
    ]
    engine.gate.set()
    await asyncio.gather(first, *tasks)

    assert engine.values == [[0], [1], [2], [3], [4], [5]]


async def test_the_least_important_request_is_computed_however_many_others_come(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=ONE_BY_ONE)
    first = await start(batcher, engine, 0)
    (patient,) = await ask(batcher, -5, priority=3)

    async def insist() -> None:
        while not patient.done():
            await batcher.compute(rows(1), priority=1)

    insisting = [asyncio.create_task(insist()) for _ in range(20)]
    await queued(batcher, 21)
    engine.gate.set()
    await asyncio.gather(first, patient, *insisting)

    assert 1 < engine.values.index([-5]) <= 2 * OLDEST_EVERY


@pytest.mark.parametrize("priority", [-1, 4, 2**40])
async def test_a_priority_that_there_is_not_is_refused(make: Make, priority: int) -> None:
    batcher = make(HeldEngine(), limits=ONE_BY_ONE)

    with pytest.raises(InvalidRequest, match="the priorities 1"):
        await batcher.compute(rows(1), priority=priority)


async def test_where_there_are_no_priorities_none_is_taken(make: Make) -> None:
    with pytest.raises(InvalidRequest, match="no priorities"):
        await make(HeldEngine()).compute(rows(1), priority=1)


async def test_a_full_queue_sheds_the_least_important_and_of_those_the_last(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(1, 3, priority_levels=3))
    first = await start(batcher, engine, 0)
    kept, *shed = await ask(batcher, 31, 32, 33, priority=3)
    important = [asyncio.create_task(batcher.compute(rows(value), priority=1)) for value in (11, 12)]

    for each in shed:
        with pytest.raises(QueueFull) as refused:
            await each
        assert refused.value.retry_after_ms
    with pytest.raises(QueueFull):
        await batcher.compute(rows(34), priority=3)
    assert batcher.queue_length == 3
    engine.gate.set()
    await asyncio.gather(first, kept, *important)

    assert engine.values == [[0], [11], [12], [31]]


async def test_among_equals_the_last_to_come_is_refused(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(1, 2, priority_levels=2))
    first = await start(batcher, engine, 0)
    waiting = await ask(batcher, 1, 2, priority=1)

    for priority in (1, 2):
        with pytest.raises(QueueFull):
            await batcher.compute(rows(9), priority=priority)

    engine.gate.set()
    await asyncio.gather(first, *waiting)

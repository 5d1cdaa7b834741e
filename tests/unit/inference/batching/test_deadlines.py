"""Requests that nobody waits for any more are not computed."""

import asyncio
import time

import pytest

from headwater.errors import Code
from services.inference.batching.options import Limits
from services.inference.errors import QueueTimedOut
from tests.unit.inference.batching.asking import Make, ask, queued, rows, start
from tests.unit.inference.engines import HeldEngine


async def test_a_request_whose_deadline_has_passed_is_not_computed(make: Make) -> None:
    """Promise 9."""
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    late = await ask(batcher, 1, 2, deadline=time.monotonic() + 0.02)
    timely = await ask(batcher, 3, deadline=time.monotonic() + 60)
    await asyncio.sleep(0.03)
    engine.gate.set()
    await asyncio.gather(first, *timely)

    for each in late:
        with pytest.raises(QueueTimedOut) as failed:
            await each
        assert failed.value.code is Code.DEADLINE_EXCEEDED
    assert engine.values == [[0], [3]]


async def test_a_request_waits_no_longer_than_the_deployment_allows(make: Make) -> None:
    """It is told so at once, not when the engine has time again."""
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(queue_timeout_s=0.03))
    first = await start(batcher, engine, 0)
    began = time.monotonic()
    for _ in range(2):  # the second has to be watched for, too
        with pytest.raises(QueueTimedOut):
            await batcher.compute(rows(1))
    assert 0.06 <= time.monotonic() - began < 5
    assert batcher.queue_length == 0

    engine.gate.set()
    assert (await first).outputs[0][0, 0] == 0, "what is computed already is answered, however long it takes"


async def test_what_nobody_waits_for_takes_no_place_in_a_full_queue(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(1, 2))
    first = await start(batcher, engine, 0)
    late = await ask(batcher, 1, 2, deadline=time.monotonic() + 0.02)
    await asyncio.sleep(0.03)

    timely = asyncio.create_task(batcher.compute(rows(3)))
    await queued(batcher, 1)
    engine.gate.set()
    await asyncio.gather(first, timely)

    results = await asyncio.gather(*late, return_exceptions=True)
    assert [type(result) for result in results] == [QueueTimedOut, QueueTimedOut]


async def test_a_timeout_of_the_caller_takes_a_request_out_of_the_queue(make: Make) -> None:
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

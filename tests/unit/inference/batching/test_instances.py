"""Several engines of one model over one queue."""

import asyncio
from collections.abc import Sequence

import pytest

from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Limits
from services.inference.batching.waiting import Computed
from services.inference.errors import ModelNotReady
from tests.unit.inference.batching.asking import Make, ask, rows
from tests.unit.inference.engines import HeldEngine
from tests.unit.inference.waiting import eventually


async def occupy(batcher: Batcher, engines: Sequence[HeldEngine]) -> "list[asyncio.Task[Computed]]":
    """Let every engine compute a request: the first 1, the second 2, and so on, in whatever order."""
    for engine in engines:
        engine.gate.clear()
    tasks = []
    for count in range(1, len(engines) + 1):
        tasks.append(asyncio.create_task(batcher.compute(rows(count))))
        await eventually(lambda count=count: sum(len(engine.batches) for engine in engines) == count)  # type: ignore[misc]
    return tasks


def release(engines: Sequence[HeldEngine]) -> None:
    for engine in engines:
        engine.gate.set()


class Deaf(HeldEngine):
    """Does not let itself be stopped."""

    def stop(self) -> None:
        """Go on."""


async def test_what_queues_while_all_engines_are_busy_is_shared_out(make: Make) -> None:
    engines = [HeldEngine(), HeldEngine()]
    batcher = make(*engines, limits=Limits(4))
    busy = await occupy(batcher, engines)
    waiting = await ask(batcher, *range(8))
    release(engines)
    answers = await asyncio.gather(*busy, *waiting)

    assert [answer.outputs[0][0, 0] for answer in answers] == [2, 4, *range(0, 16, 2)]
    assert batcher.instances == 2
    assert sorted(size for engine in engines for size in engine.batches) == [1, 1, 4, 4]
    counts = batcher.counts
    assert (counts.batches, counts.rows) == (4, 10)
    assert {size: count for size, (count, _) in counts.by_rows.items()} == {1: 2, 4: 2}


async def test_while_one_engine_is_busy_an_idle_one_computes_at_once(make: Make) -> None:
    engines = [HeldEngine(), HeldEngine()]
    batcher = make(*engines)
    busy = await occupy(batcher, engines)
    held, idle = engines if engines[0].values == [[1]] else engines[::-1]
    idle.gate.set()
    await busy[1]

    assert [(await batcher.compute(rows(value))).outputs[0][0, 0] for value in (3, 4)] == [6, 8]
    assert (held.batches, idle.batches) == ([1], [1, 1, 1])
    held.gate.set()
    await busy[0]


async def test_an_engine_that_hangs_leaves_the_work_to_the_others(make: Make) -> None:
    engines = [Deaf(), Deaf()]
    batcher = make(*engines, timeout_s=0.02)
    busy = await occupy(batcher, engines)
    engines[0].gate.set()
    await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.03)
    batcher.stop_overdue()

    assert batcher.answers
    assert (await batcher.compute(rows(7))).outputs[0][0, 0] == 14
    release(engines)
    await asyncio.gather(*busy)


async def test_when_all_engines_hang_nothing_more_is_accepted(make: Make) -> None:
    engines = [Deaf(), Deaf()]
    batcher = make(*engines, limits=Limits(1), timeout_s=0.01)
    hanging = await occupy(batcher, engines)
    await asyncio.sleep(0.02)
    batcher.stop_overdue()

    with pytest.raises(ModelNotReady):
        await batcher.compute(rows(3))
    release(engines)
    await asyncio.gather(*hanging)


async def test_who_leaves_stops_only_the_engine_that_computes_for_them(make: Make) -> None:
    engines = [HeldEngine(), HeldEngine()]
    batcher = make(*engines, limits=Limits(1))
    leaving, staying = await occupy(batcher, engines)
    leaving.cancel()
    third = asyncio.create_task(batcher.compute(rows(3)))
    await eventually(lambda: sum(len(engine.batches) for engine in engines) == 3)
    assert not staying.done()
    release(engines)

    assert (await staying).outputs[0][0, 0] == 4
    assert (await third).outputs[0][0, 0] == 6


async def test_closing_closes_every_engine(make: Make) -> None:
    engines = [HeldEngine() for _ in range(3)]
    batcher = make(*engines)
    first = asyncio.create_task(batcher.compute(rows(1)))
    await asyncio.sleep(0)
    await batcher.close()

    assert (await first).outputs[0][0, 0] == 2
    assert all(engine.closed for engine in engines)

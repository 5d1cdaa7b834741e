"""How batches are formed of what waits."""

import asyncio

from services.inference.batching.options import Limits
from services.inference.tensors.model import Signature, TensorSpec
from tests.unit.inference.batching.asking import Make, ask, queued, rows, start
from tests.unit.inference.engines import HeldEngine


async def test_an_idle_engine_computes_a_request_at_once_and_alone(make: Make) -> None:
    engine = HeldEngine()
    computed = await make(engine).compute(rows(1, 2))

    assert computed.outputs[0].tolist() == [[2, 2], [4, 4]]
    assert (computed.rows, computed.batch_rows) == (2, 2)
    assert engine.batches == [2]


async def test_what_queues_while_the_engine_is_busy_is_its_next_batch(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    others = [asyncio.create_task(batcher.compute(rows(value))) for value in range(1, 6)]
    await queued(batcher, 5)
    engine.gate.set()
    await first

    computed = await asyncio.gather(*others)

    assert engine.batches == [1, 5]
    assert [each.outputs[0][0, 0] for each in computed] == [2, 4, 6, 8, 10]
    assert {each.batch_rows for each in computed} == {5}
    assert {each.rows for each in computed} == {1}


async def test_a_batch_has_no_more_rows_than_allowed(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(4))
    first = await start(batcher, engine, 0)
    others = [asyncio.create_task(batcher.compute(rows(*range(count)))) for count in (2, 2, 3, 9, 1)]
    await queued(batcher, 5)
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 4, 3, 9, 1], "a request with more rows is computed by itself"


async def test_a_batch_size_of_one_switches_batching_off(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(1))
    first = await start(batcher, engine, 0)
    others = [asyncio.create_task(batcher.compute(rows(value))) for value in range(3)]
    await queued(batcher, 3)
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 1, 1, 1]


async def test_only_requests_of_compatible_shapes_are_computed_together(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    wide = [asyncio.create_task(batcher.compute(rows(value, columns=3))) for value in (1, 2)]
    narrow = [asyncio.create_task(batcher.compute(rows(value, columns=1))) for value in (3, 4)]
    await queued(batcher, 4)
    engine.gate.set()
    await first

    answers = [each.outputs[0].tolist() for each in await asyncio.gather(*wide, *narrow)]

    assert answers == [[[2, 2, 2]], [[4, 4, 4]], [[6]], [[8]]]
    assert engine.batches == [1, 2, 2]


async def test_a_model_without_rows_is_computed_request_by_request(make: Make) -> None:
    shape = (1, 2)
    fixed = Signature((TensorSpec("x", "FP32", shape),), (TensorSpec("y", "FP32", shape),), batchable=False)
    engine = HeldEngine(fixed)
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    others = [asyncio.create_task(batcher.compute(rows(value))) for value in (1, 2)]
    await queued(batcher, 2)
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 1, 1]


async def test_what_was_computed_is_counted(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    await batcher.compute(rows(1, 2))
    await batcher.compute(rows(1))

    counts = batcher.counts
    assert (counts.batches, counts.rows) == (2, 3)
    assert {size: count for size, (count, _) in counts.by_rows.items()} == {1: 1, 2: 1}


async def test_batches_of_preferred_sizes_are_formed_while_there_is_enough(make: Make) -> None:
    """The rest, which is no preferred size, is computed as it is: an idle engine does not wait for more."""
    engine = HeldEngine()
    batcher = make(engine, limits=Limits(64, preferred_rows=(4, 8)))
    first = await start(batcher, engine, 0)
    others = await ask(batcher, *range(15))
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 8, 4, 3]


async def test_new_bounds_hold_for_what_waits_already(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    others = await ask(batcher, *range(6))
    batcher.limits = Limits(2)
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 2, 2, 2]


async def test_how_long_batches_take_is_measured(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    for count in (1, 1, 4):
        await batcher.compute(rows(*range(count)))

    assert [(point.rows, point.batches) for point in batcher.curve.points()] == [(1, 2), (4, 1)]
    assert all(point.seconds > 0 for point in batcher.curve.points())

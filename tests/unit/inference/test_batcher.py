"""The promises of the batcher, one by one."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.errors import HeadwaterError
from services.inference.batching.batcher import Batcher
from services.inference.batching.queue import Computed, Limits
from services.inference.engines.engine import Engine, EngineFailed, EngineTimedOut
from services.inference.engines.onnx import OnnxEngine
from services.inference.errors import ModelNotReady, QueueFull
from services.inference.tensors.model import Signature, TensorSpec
from tests.unit.inference import onnx_models
from tests.unit.inference.engines import POISON, HeldEngine
from tests.unit.inference.waiting import eventually

LIMITS = Limits(max_batch_rows=64, max_queue_requests=1024, max_queue_bytes=2**26)
MEMORY = 4 * 2**30

Make = Callable[..., Batcher]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """Makes batchers and closes them."""
    made: list[tuple[Batcher, Engine]] = []

    def new(engine: Engine, limits: Limits = LIMITS, timeout_s: float = 60.0) -> Batcher:
        batcher = Batcher("m", engine, limits, timeout_s=timeout_s)
        made.append((batcher, engine))
        return batcher

    yield new
    for batcher, engine in made:
        if isinstance(engine, HeldEngine):
            engine.gate.set()
        await batcher.close()


def rows(*values: float, columns: int = 2) -> list[np.ndarray]:
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
    batcher = make(engine, Limits(4, 1024, 2**26))
    first = await start(batcher, engine, 0)
    others = [asyncio.create_task(batcher.compute(rows(*range(count)))) for count in (2, 2, 3, 9, 1)]
    await queued(batcher, 5)
    engine.gate.set()
    await asyncio.gather(first, *others)

    assert engine.batches == [1, 4, 3, 9, 1], "a request with more rows is computed by itself"


async def test_a_batch_size_of_one_switches_batching_off(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, Limits(1, 1024, 2**26))
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


async def test_a_failing_request_fails_alone(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    values = [1.0, POISON, 2.0, POISON, 3.0]
    others = [asyncio.create_task(batcher.compute(rows(value))) for value in values]
    await queued(batcher, 5)
    engine.gate.set()
    await first

    results = await asyncio.gather(*others, return_exceptions=True)

    for value, result in zip(values, results, strict=True):
        if value == POISON:
            assert isinstance(result, EngineFailed)
        else:
            assert isinstance(result, Computed)
            assert result.outputs[0][0, 0] == value * 2
    assert engine.batches == [1, 5, 1, 1, 1, 1, 1]


async def test_a_model_that_mixes_rows_is_answered_correctly_and_batched_no_more(make: Make) -> None:
    """Its signature promised rows, its outputs have others."""
    engine = HeldEngine(answer=lambda batch: batch[batch[:, 0] > 0])
    batcher = make(engine)
    first = await start(batcher, engine, 1)
    others = [asyncio.create_task(batcher.compute(rows(value))) for value in (0, 5)]
    await queued(batcher, 2)
    engine.gate.set()
    await first

    answers = [each.outputs[0].tolist() for each in await asyncio.gather(*others)]

    assert answers == [[], [[5, 5]]]
    assert engine.batches == [1, 2, 1, 1]


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


async def test_a_full_queue_refuses_with_a_hint_when_to_come_back(make: Make) -> None:
    """Promise 8."""
    engine = HeldEngine()
    batcher = make(engine, Limits(64, 3, 2**26))
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
    batcher = make(engine, Limits(64, 1024, 1000))
    first = await start(batcher, engine, 0)
    waiting = asyncio.create_task(batcher.compute(rows(*range(100))))
    await queued(batcher, 1)

    with pytest.raises(QueueFull):
        await batcher.compute(rows(*range(100)))

    engine.gate.set()
    await asyncio.gather(first, waiting)
    await batcher.compute(rows(*range(100)))


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


async def test_a_computation_that_takes_too_long_is_stopped(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine, timeout_s=0.05)
    first = await start(batcher, engine, 0)
    waiting = asyncio.create_task(batcher.compute(rows(1)))
    batcher.stop_overdue()
    assert not first.done(), "not before its time"
    await asyncio.sleep(0.06)

    batcher.stop_overdue()

    with pytest.raises(EngineTimedOut):
        await first
    await began(engine)
    engine.gate.set()
    assert (await waiting).outputs[0].tolist() == [[2, 2]]


async def test_while_an_engine_does_not_let_itself_be_stopped_nothing_more_is_accepted(make: Make) -> None:
    class Deaf(HeldEngine):
        def stop(self) -> None:
            """Go on."""

    engine = Deaf()
    batcher = make(engine, timeout_s=0.01)
    first = await start(batcher, engine, 0)
    await asyncio.sleep(0.02)
    batcher.stop_overdue()
    assert not batcher.answers

    with pytest.raises(ModelNotReady):
        await batcher.compute(rows(1))

    engine.gate.set()
    await first
    assert (await batcher.compute(rows(1))).outputs[0].tolist() == [[2, 2]]


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


async def test_what_was_computed_is_counted(make: Make) -> None:
    engine = HeldEngine()
    batcher = make(engine)
    await batcher.compute(rows(1, 2))
    await batcher.compute(rows(1))

    counts = batcher.counts
    assert (counts.batches, counts.rows) == (2, 3)
    assert {size: count for size, (count, _) in counts.by_rows.items()} == {1: 1, 2: 1}


requests = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=requests, max_rows=st.integers(1, 16))
async def test_everybody_gets_their_own_rows(make: Make, requests: list[tuple[int, int, bool]], max_rows: int) -> None:
    """Random requests of several shapes at once, some cancelled, through a real model that doubles what it gets."""
    batcher = make(
        OnnxEngine.load(onnx_models.sequence_doubling(), threads=1, memory_bytes=MEMORY), Limits(max_rows, 1024, 2**26)
    )
    number = iter(range(10_000))

    async def ask(count: int, columns: int, cancel: bool) -> None:
        values = np.array([[next(number)] * columns for _ in range(count)], np.float32).reshape(count, columns)
        task = asyncio.create_task(batcher.compute([values]))
        await asyncio.sleep(0)
        if cancel:
            task.cancel()
            await asyncio.wait([task])
            return
        computed = await task
        assert computed.outputs[0].tolist() == (values * 2).tolist()
        assert computed.rows == count
        assert computed.batch_rows <= max(max_rows, count)

    await asyncio.gather(*(ask(*request) for request in requests))
    assert batcher.queue_length == 0


async def test_a_bad_input_fails_alone_in_a_real_model(make: Make) -> None:
    """One index out of range makes ONNX Runtime fail the whole batch."""
    batcher = make(OnnxEngine.load(onnx_models.table_lookup(), threads=1, memory_bytes=MEMORY))
    indices = [index if index % 7 else 99 for index in range(50)]

    results = await asyncio.gather(
        *(batcher.compute([np.array([index % 8 if index != 99 else 99])]) for index in indices), return_exceptions=True
    )

    for index, result in zip(indices, results, strict=True):
        if index == 99:
            assert isinstance(result, HeadwaterError)
        else:
            assert isinstance(result, Computed)
            assert result.outputs[0].tolist() == [100 + index % 8]

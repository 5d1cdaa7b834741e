"""What becomes of the others when one request, or a whole batch, fails."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from headwater.errors import HeadwaterError
from services.inference.batching.waiting import Computed
from services.inference.engines.engine import EngineCrashed, EngineFailed, EngineRestarting, EngineTimedOut
from services.inference.engines.onnx import OnnxEngine
from services.inference.errors import ModelNotReady
from services.inference.tensors.model import Array
from tests.unit.inference import onnx_models
from tests.unit.inference.batching.asking import Make, ask, began, queued, rows, start
from tests.unit.inference.engines import POISON, HeldEngine

MEMORY = 4 * 2**30


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


async def test_of_a_batch_that_failed_only_those_are_computed_again_who_still_wait(make: Make) -> None:
    class Leaving(HeldEngine):
        def predict(self, inputs: Sequence[Array]) -> list[Array]:
            if len(inputs[0]) == 4:  # the batch: one of its callers goes away meanwhile
                loop.call_soon_threadsafe(tasks[2].cancel)
                time.sleep(0.05)
            return super().predict(inputs)

    loop = asyncio.get_running_loop()
    engine = Leaving()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    tasks = await ask(batcher, POISON, 1, 2, 3)
    engine.gate.set()
    await first
    failed, one, two, three = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(failed, EngineFailed)
    assert isinstance(two, asyncio.CancelledError)
    assert isinstance(one, Computed)
    assert isinstance(three, Computed)
    assert (one.outputs[0][0, 0], three.outputs[0][0, 0]) == (2, 6)
    assert engine.values[2:] == [[POISON], [1], [3]]


@pytest.mark.parametrize("error", [EngineRestarting(model="m", retry_after_ms=700), EngineCrashed(model="m")])
async def test_when_an_engine_is_away_or_crashed_a_batch_is_not_tried_request_by_request(
    make: Make, error: HeadwaterError
) -> None:
    class Away(HeldEngine):
        def predict(self, inputs: Sequence[Array]) -> list[Array]:
            super().predict(inputs)
            raise error

    engine = Away()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    tasks = await ask(batcher, 1, 2, 3)
    engine.gate.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)

    assert engine.batches == [1, 3]
    for result in results:
        assert isinstance(result, HeadwaterError)
        assert (result.reason, result.retry_after_ms) == (error.reason, error.retry_after_ms)


async def test_an_answer_says_how_long_the_engine_took_for_its_batch(make: Make) -> None:
    class Slow(HeldEngine):
        def predict(self, inputs: Sequence[Array]) -> list[Array]:
            time.sleep(0.01)
            return super().predict(inputs)

    computed = await make(Slow()).compute(rows(1))

    assert 0.01 <= computed.engine_s < 1


async def test_each_request_of_a_batch_gets_an_error_of_its_own(make: Make) -> None:
    """What is added to one, as the id of the request's record, is nobody else's to know."""

    class Crashing(HeldEngine):
        def predict(self, inputs: Sequence[Array]) -> list[Array]:
            super().predict(inputs)
            raise EngineCrashed(model="digits") from OSError("gone")

    engine = Crashing()
    batcher = make(engine)
    first = await start(batcher, engine, 0)
    others = await ask(batcher, 1, 2)
    engine.gate.set()
    one, two = await asyncio.gather(*others, return_exceptions=True)
    with pytest.raises(EngineCrashed):
        await first
    assert isinstance(one, EngineCrashed)
    assert isinstance(two, EngineCrashed)
    one.metadata["request_id"] = "of one"
    assert two.metadata == {"model": "digits"}
    assert isinstance(two.__cause__, OSError)


async def test_an_engine_that_cannot_be_closed_holds_up_nobody(make: Make) -> None:
    class Stuck(HeldEngine):
        def close(self) -> None:
            super().close()
            raise OSError("its process is gone")

    batcher = make(Stuck())
    async with asyncio.timeout(5):
        await batcher.close()

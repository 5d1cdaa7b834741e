"""Nobody ever gets the rows of somebody else."""

import asyncio
import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.inference.batching.options import Limits, PaddedInput, PaddedOutput, Padding
from services.inference.batching.waiting import NEVER
from services.inference.engines.engine import EngineFailed
from services.inference.engines.onnx import OnnxEngine
from services.inference.errors import QueueFull, QueueTimedOut
from services.inference.tensors.model import Array
from tests.unit.inference import onnx_models
from tests.unit.inference.batching.asking import Make
from tests.unit.inference.engines import POISON, HeldEngine

MEMORY = 4 * 2**30
COLUMNS = Padding((PaddedInput("x", 1, 999.0),), (PaddedOutput("y", 1),), sizes=(3, 8))


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request of a test, and what is done with it."""

    rows: int
    columns: int
    priority: int = 0
    deadline_s: float = NEVER
    cancelled_after_s: float | None = None
    poisoned: bool = False


asked = st.builds(
    Asked,
    rows=st.integers(0, 4),
    columns=st.integers(1, 10),
    priority=st.integers(0, 3),
    deadline_s=st.sampled_from([NEVER, NEVER, 0.0, 0.002, 10.0]),
    cancelled_after_s=st.sampled_from([None, None, None, 0.0, 0.001]),
    poisoned=st.sampled_from([False] * 7 + [True]),
)
limits = st.builds(
    Limits,
    max_batch_rows=st.integers(1, 16),
    max_queue_requests=st.sampled_from([8, 1024]),
    max_delay_s=st.sampled_from([0.0, 0.003]),
    preferred_rows=st.sampled_from([(), (1,), (2, 5)]),
    priority_levels=st.just(3),
    queue_timeout_s=st.sampled_from([0.0, 0.004]),
    padding=st.sampled_from([(), (COLUMNS,)]),
)


class Sleepy(HeldEngine):
    """Lets requests queue meanwhile."""

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        time.sleep(0.0005)
        return super().predict(inputs)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(asked, min_size=1, max_size=40), limits=limits, instances=st.integers(1, 3))
async def test_everybody_gets_their_own_rows(make: Make, requests: list[Asked], limits: Limits, instances: int) -> None:
    """Whatever is asked together: shapes, priorities, deadlines, poison, and callers that go away."""
    batcher = make(*(Sleepy() for _ in range(instances)), limits=limits)
    numbers = iter(range(1, 100_000))

    async def ask(how: Asked) -> None:
        values = np.array([next(numbers) for _ in range(how.rows * how.columns)], np.float32)
        values = values.reshape(how.rows, how.columns)
        if how.poisoned and how.rows:
            values[-1, -1] = POISON
        deadline = time.monotonic() + how.deadline_s
        task = asyncio.create_task(batcher.compute([values.copy()], priority=how.priority, deadline=deadline))
        if how.cancelled_after_s is not None:
            await asyncio.sleep(how.cancelled_after_s)
            task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            assert how.cancelled_after_s is not None
        elif isinstance(error := task.exception(), EngineFailed):
            assert how.poisoned
        elif isinstance(error, QueueTimedOut):
            assert how.deadline_s < 1 or limits.queue_timeout_s
        elif error is not None:
            assert isinstance(error, QueueFull)
            assert limits.max_queue_requests == 8
        else:
            computed = task.result()
            assert not (how.poisoned and how.rows)
            assert computed.outputs[0].tolist() == (values * 2).tolist()
            assert computed.rows == how.rows
            assert computed.batch_rows <= max(limits.max_batch_rows, how.rows)

    await asyncio.gather(*(ask(how) for how in requests))

    assert batcher.queue_length == 0
    batcher.limits = Limits()
    last = np.ones((1, 2), np.float32)
    assert (await batcher.compute([last])).outputs[0].tolist() == [[2, 2]]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(asked, min_size=1, max_size=40), max_rows=st.integers(1, 16), padded=st.booleans())
async def test_a_real_model_gives_everybody_their_own_rows(
    make: Make, requests: list[Asked], max_rows: int, padded: bool
) -> None:
    batcher = make(
        OnnxEngine.load(onnx_models.sequence_doubling(), threads=1, memory_bytes=MEMORY),
        limits=Limits(max_rows, padding=(COLUMNS,) if padded else ()),
    )
    numbers = iter(range(100_000))

    async def ask(how: Asked) -> None:
        values = np.array([next(numbers) for _ in range(how.rows * how.columns)], np.float32)
        values = values.reshape(how.rows, how.columns)
        computed = await batcher.compute([values])
        assert computed.outputs[0].tolist() == (values * 2).tolist()

    await asyncio.gather(*(ask(how) for how in requests))

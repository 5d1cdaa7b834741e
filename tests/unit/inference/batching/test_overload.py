"""Ten times as many requests as can be computed: those that are accepted are answered soon, the rest is told when to
come again, and nobody else notices."""

import asyncio
import time
from collections.abc import Sequence

from headwater.errors import Code
from services.inference.batching.options import Limits
from services.inference.errors import QueueFull
from services.inference.tensors.model import Array
from tests.unit.inference.batching.asking import Make, rows
from tests.unit.inference.engines import HeldEngine

BATCH_S, BATCH_ROWS, QUEUE = 0.02, 4, 16
CAPACITY = BATCH_ROWS / BATCH_S
OVERLOAD, SECONDS = 10, 2.0


class Slow(HeldEngine):
    """Computes CAPACITY rows a second."""

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        time.sleep(BATCH_S)
        return super().predict(inputs)


async def test_ten_times_the_load_keeps_answers_soon_and_memory_small(make: Make) -> None:
    """Promise 8. In closed waves of 10 ms, which is what a scheduler makes of 2,000 requests a second anyway."""
    batcher = make(Slow(), limits=Limits(BATCH_ROWS, QUEUE, priority_levels=2))
    other = make(HeldEngine())
    latencies: list[float] = []
    refused: list[QueueFull] = []
    elsewhere: list[float] = []
    longest_queue = 0

    async def ask(value: float) -> None:
        began = time.monotonic()
        try:
            answer = await batcher.compute(rows(value), priority=2)
        except QueueFull as error:
            refused.append(error)
        else:
            assert answer.outputs[0][0, 0] == value * 2
            latencies.append(time.monotonic() - began)

    async def ask_elsewhere() -> None:
        began = time.monotonic()
        await other.compute(rows(1))
        elsewhere.append(time.monotonic() - began)

    important = []
    tasks = set()
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        for value in range(int(CAPACITY * OVERLOAD * 0.01)):
            tasks.add(asyncio.create_task(ask(value)))
        await asyncio.gather(asyncio.sleep(0.01), ask_elsewhere())
        longest_queue = max(longest_queue, batcher.queue_length)
        tasks = {task for task in tasks if not task.done()}
        if len(elsewhere) % 50 == 0:
            important.append(asyncio.create_task(batcher.compute(rows(1), priority=1)))
    await asyncio.gather(*tasks)

    assert longest_queue == QUEUE
    assert len(tasks) <= QUEUE + BATCH_ROWS, "who is refused is refused at once"
    assert len(refused) > len(latencies), "it was an overload"
    assert len(latencies) > 0.3 * CAPACITY * SECONDS, "the engine did not stand still"
    # The queue holds four batches and one is computed, 0.1 s in all. If all were accepted, the last would wait 18 s.
    assert sorted(latencies)[int(len(latencies) * 0.99)] < 1.5
    assert sorted(elsewhere)[len(elsewhere) // 2] < 0.1
    assert len(await asyncio.gather(*important)) > 1, "none of the important ones was shed"


async def test_the_hint_says_how_long_the_queue_takes(make: Make) -> None:
    batcher = make(Slow(), limits=Limits(BATCH_ROWS, QUEUE))
    for count in (1, 2, 3, 4):
        await batcher.compute(rows(*range(count)))
    asked = [asyncio.create_task(batcher.compute(rows(1))) for _ in range(QUEUE + 10)]
    results = await asyncio.gather(*asked, return_exceptions=True)

    hints = [result.retry_after_ms for result in results if isinstance(result, QueueFull)]
    assert hints
    for hint in hints:
        assert hint is not None
        assert QUEUE / BATCH_ROWS * BATCH_S * 1000 * 0.9 <= hint <= 400
    assert QueueFull.code is Code.RESOURCE_EXHAUSTED

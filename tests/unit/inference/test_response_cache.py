"""Answers that are kept by what was asked."""

import asyncio
import dataclasses

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.inference.cache.cache import Kept, ResponseCache
from services.inference.cache.key import question_key
from services.inference.cache.options import Caching
from services.inference.engines.engine import EngineFailed, EngineRestarting, EngineTimedOut
from services.inference.errors import InvalidRequest, OutOfTime, QueueFull, QueueTimedOut
from services.inference.question import Question
from services.inference.tensors.model import Tensor

ON = Caching(enabled=True)
ENTRY_BYTES = 1024


def answer(value: float, count: int = 4) -> Kept:
    return Kept([Tensor("y", "FP32", np.full((1, count), value, np.float32))], 1)


class Model:
    """Answers, and counts how often. Held by its gate."""

    def __init__(self) -> None:
        self.computed = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        """Of the first computation."""

    async def compute(self) -> Kept:
        self.computed += 1
        number = self.computed
        await self.gate.wait()
        if number == 1 and self.failure is not None:
            raise self.failure
        return answer(number)


async def test_the_same_question_is_computed_once() -> None:
    cache, model = ResponseCache(ON), Model()

    results = [await cache.answer(lambda: b"question", model.compute) for _ in range(3)]

    assert [cached for _, cached in results] == [False, True, True]
    assert [kept.outputs[0].array[0, 0] for kept, _ in results] == [1, 1, 1]
    assert (cache.counts.hits, cache.counts.misses, cache.counts.hit_rows) == (2, 1, 2)
    assert cache.counts.hit_s > 0


async def test_equal_questions_that_come_at_once_are_computed_once() -> None:
    cache, model = ResponseCache(ON), Model()
    model.gate.clear()
    asking = [asyncio.create_task(cache.answer(lambda: b"question", model.compute)) for _ in range(50)]
    other = asyncio.create_task(cache.answer(lambda: b"another one", model.compute))
    await asyncio.sleep(0)
    asking[7].cancel()
    model.gate.set()
    results = await asyncio.gather(*asking, other, return_exceptions=True)

    assert isinstance(results.pop(7), asyncio.CancelledError)
    assert model.computed == 2
    assert sum(not cached for _, cached in results) == 2  # type: ignore[misc]


@pytest.mark.parametrize("why", [None, QueueFull(), QueueTimedOut(), OutOfTime()], ids=lambda why: type(why).__name__)
async def test_what_is_one_callers_alone_is_told_no_other_one(why: Exception | None) -> None:
    """The one who computes goes away, or finds no room or no time: the next asks, and the others get its answer."""
    cache, model = ResponseCache(ON), Model()
    model.gate.clear()
    first, *others = [asyncio.create_task(cache.answer(lambda: b"question", model.compute)) for _ in range(4)]
    await asyncio.sleep(0)
    if why is None:
        first.cancel()
    else:
        model.failure = why
        model.gate.set()
    await asyncio.wait([first])
    model.gate.set()

    results = await asyncio.gather(*others)

    assert model.computed == 2
    assert [cached for _, cached in results] == [False, True, True]
    assert [kept.outputs[0].array[0, 0] for kept, _ in results] == [2, 2, 2]
    with pytest.raises(asyncio.CancelledError if why is None else type(why)):
        await first


class Failing:
    """Fails or hangs, and counts how many compute at once."""

    def __init__(self, hangs: bool = False) -> None:
        self.hangs = hangs
        self.computed = self.now = self.most = 0

    async def compute(self) -> Kept:
        self.computed += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await (asyncio.Event().wait() if self.hangs else asyncio.sleep(0))
            raise QueueFull
        finally:
            self.now -= 1


@pytest.mark.parametrize("cancelled", [True, False])
async def test_of_many_that_wait_for_what_fails_never_more_than_one_is_computed(cancelled: bool) -> None:
    """Every one gets an error of its own in its turn, and newcomers wait behind the others."""
    cache, model = ResponseCache(ON), Failing(hangs=cancelled)
    asking: list[asyncio.Task[tuple[Kept, bool]]] = []
    for turn in range(300):
        asking.append(asyncio.create_task(cache.answer(lambda: b"question", model.compute)))
        if turn % 10 == 0:
            await asyncio.sleep(0)
    if cancelled:
        for turn, each in enumerate(asking):
            each.cancel()
            if turn % 3 == 0:
                await asyncio.sleep(0)
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert {type(each) for each in results} == {asyncio.CancelledError if cancelled else QueueFull}
    assert model.most == 1
    assert cancelled or model.computed == len({id(each) for each in results}) == 300
    working = Model()
    assert not (await cache.answer(lambda: b"question", working.compute))[1], "nothing is left behind"
    assert (await cache.answer(lambda: b"question", working.compute))[1]


async def test_who_goes_away_just_as_its_turn_comes_lets_the_next_one_compute() -> None:
    cache, model = ResponseCache(ON), Model()
    gone: list[asyncio.Task[tuple[Kept, bool]]] = []

    async def fail() -> Kept:
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(gone[0].cancel)  # runs when its turn has come, and it does not know it yet
        raise QueueFull

    first = asyncio.create_task(cache.answer(lambda: b"question", fail))
    second, third = [asyncio.create_task(cache.answer(lambda: b"question", model.compute)) for _ in range(2)]
    gone.append(second)
    await asyncio.wait([first, second, third], timeout=10)

    assert isinstance(first.exception(), QueueFull)
    assert second.cancelled()
    assert not third.result()[1]
    assert model.computed == 1


async def test_what_is_wrong_with_the_question_is_told_to_all_who_ask_it() -> None:
    cache, model = ResponseCache(ON), Model()
    model.gate.clear()
    model.failure = InvalidRequest("too long", model="m")
    asking = [asyncio.create_task(cache.answer(lambda: b"question", model.compute)) for _ in range(20)]
    await asyncio.sleep(0)
    model.gate.set()
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert model.computed == 1
    assert [str(each) for each in results] == ["too long"] * 20
    errors = [each for each in results if isinstance(each, InvalidRequest)]
    errors[0].metadata["request_id"] = "1"
    assert [each.metadata for each in errors[1:]] == [{"model": "m"}] * 19, "each can be given an id of its own"


class Odd(Exception):
    """Cannot be copied."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


@pytest.mark.parametrize(
    "why",
    [EngineFailed(), EngineTimedOut(), EngineRestarting(), RuntimeError("no"), Odd("n", "o")],
    ids=lambda why: type(why).__name__,
)
async def test_equal_questions_that_the_model_fails_on_have_all_failed_at_once(why: Exception) -> None:
    """A hanging engine is waited for once, and not by one caller after the other."""
    cache, model = ResponseCache(ON), Model()
    model.gate.clear()
    why.__cause__ = OSError("the pipe is closed")
    model.failure = why
    asking = [asyncio.create_task(cache.answer(lambda: b"question", model.compute)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[7].cancel()
    model.gate.set()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(results.pop(7), asyncio.CancelledError)
    assert model.computed == 1
    assert {(type(each), str(each)) for each in results} == {(type(why), str(why))}
    assert len({id(each) for each in results}) == (1 if isinstance(why, Odd) else 19)
    assert {each.__cause__ for each in results if isinstance(each, Exception)} == {why.__cause__}
    assert (await cache.answer(lambda: b"question", model.compute))[0].rows == 1, "the next to ask is computed"


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    now = 100.0
    cache, model = ResponseCache(dataclasses.replace(ON, ttl_s=5.0), lambda: now), Model()
    await cache.answer(lambda: b"question", model.compute)
    now = 104.9
    assert (await cache.answer(lambda: b"question", model.compute))[1]
    now = 105.0

    assert not (await cache.answer(lambda: b"question", model.compute))[1]
    assert len(cache) == 1


async def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache, model = ResponseCache(dataclasses.replace(ON, max_entries=2)), Model()
    for question in (b"a", b"b", b"a", b"c"):
        await cache.answer(lambda question=question: question, model.compute)  # type: ignore[misc]

    assert (await cache.answer(lambda: b"a", model.compute))[1]
    assert not (await cache.answer(lambda: b"b", model.compute))[1]
    assert cache.counts.evicted == 2


async def test_a_large_answer_does_not_displace_all_others() -> None:
    cache = ResponseCache(dataclasses.replace(ON, max_bytes=100_000))

    async def large() -> Kept:
        return answer(1, 10_000)

    await cache.answer(lambda: b"question", large)

    assert (len(cache), cache.size_bytes) == (0, 0)


async def test_a_kept_answer_does_not_keep_the_batch_that_it_was_computed_in() -> None:
    cache = ResponseCache(ON)
    batch = np.zeros((64, 1000), np.float32)

    async def compute() -> Kept:
        return Kept([Tensor("y", "FP32", batch[3:4])], 1)

    await cache.answer(lambda: b"question", compute)
    kept, cached = await cache.answer(lambda: b"question", compute)

    assert cached
    assert kept.outputs[0].array.base is None
    with pytest.raises(ValueError, match="read-only"):
        kept.outputs[0].array[0, 0] = 1


async def test_a_cache_that_is_switched_off_forgets() -> None:
    cache, model = ResponseCache(ON), Model()
    await cache.answer(lambda: b"question", model.compute)
    cache.configure(Caching())

    assert not cache.enabled
    assert (len(cache), cache.size_bytes) == (0, 0)


def question(value: float = 1.0, **more: object) -> Question:
    tensors = {"x": Tensor("x", "FP32", np.full((1, 2), value, np.float32))}
    asked = Question("m", "", tensors, (), "me", "", 0.0)
    return dataclasses.replace(asked, **more)  # type: ignore[arg-type]


def test_questions_are_the_same_when_the_answer_must_be() -> None:
    key = question_key("sha256:1", "", question())
    integers = {"x": Tensor("x", "INT32", np.ones((1, 2), np.int32))}
    others = [
        question_key("sha256:2", "", question()),
        question_key("sha256:1", "sha256:p", question()),
        question_key("sha256:1", "", question(2.0)),
        question_key("sha256:1", "", question(inputs=integers)),
        question_key("sha256:1", "", question(outputs=["y"])),
        question_key("sha256:1", "", question(outputs=["y", "z"])),
        question_key("sha256:1", "", question(outputs=["z", "y"])),
        question_key("sha256:1", "", question(return_features=True)),
    ]

    assert len({key, *others}) == 9
    same = question(caller="you", client_request_id="7", arrived=9.0, timeout_s=1.0, priority=1, routing_key="k")
    assert question_key("sha256:1", "", same) == key


class Bounded(RuleBasedStateMachine):
    """Whatever is asked and configured, the bounds hold and a kept answer is the right one."""

    def __init__(self) -> None:
        super().__init__()
        self.caching = Caching(enabled=True, max_bytes=16 * ENTRY_BYTES, max_entries=8)
        self.cache = ResponseCache(self.caching)

    @rule(number=st.integers(0, 30), size=st.integers(1, 2000))
    def ask(self, number: int, size: int) -> None:
        async def compute() -> Kept:
            return answer(number, size)

        kept, _ = asyncio.run(self.cache.answer(lambda: number.to_bytes(), compute))
        assert kept.outputs[0].array[0, 0] == number

    @rule(entries=st.integers(1, 8), size=st.integers(4, 16))
    def configure(self, entries: int, size: int) -> None:
        self.caching = Caching(enabled=True, max_bytes=size * ENTRY_BYTES, max_entries=entries)
        self.cache.configure(self.caching)

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.cache) <= self.caching.max_entries
        assert len(self.cache) * ENTRY_BYTES <= self.cache.size_bytes <= self.caching.max_bytes or not len(self.cache)


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)

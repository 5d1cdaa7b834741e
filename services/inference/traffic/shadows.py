"""Gives copies of answered requests to shadows, and compares their answers with those that were given.

A copy begins after its request was answered, and nobody waits for it. What is under way for one version is bounded in
number, and all copies together in bytes; a copy beyond that is dropped and counted. So a shadow that is slow, fails or
hangs costs its primary nothing but the processor time that the shadow itself takes.
"""

import asyncio
import dataclasses
import functools
import random
from collections.abc import Callable, Sequence

import structlog

from chassis.clock import Clock
from chassis.deadline import set_remaining_s
from chassis.ids import new_id
from headwater.errors import HeadwaterError
from services.inference.batching.batcher import Batcher
from services.inference.deployments.follower import Follower, Shadow
from services.inference.deployments.loaded import Answer, Loaded
from services.inference.question import Question
from services.inference.records.model import Answered
from services.inference.records.recorder import Recorder
from services.inference.tensors.model import Tensor, size_bytes
from services.inference.traffic.comparison import compare

_MAX_COPIES = 32  # under way for one version
_MAX_BYTES = 64 * 2**20
_IN_THREAD_BYTES = 2**16  # comparing more than that would hold up the event loop
_CLOSE_S = 2.0

_log = structlog.get_logger("inference.shadows")


class Shadows:
    """Used in one event loop. ``chance`` gives numbers from 0 to 1."""

    def __init__(self, recorder: Recorder, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self._recorder = recorder
        self._clock = clock
        self._chance = chance
        self._bytes = 0
        self._closed = False
        self._under_way: dict[Batcher, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def copy(self, follower: Follower, question: Question, request_id: str, outputs: Sequence[Tensor]) -> None:
        """Let the shadows of a deployment answer ``question`` too, which was answered with ``outputs``."""
        for shadow in follower.shadows:
            loaded = shadow.target.loaded
            if self._closed or loaded is None or self._chance() >= shadow.fraction:
                continue
            queue = loaded.batcher
            size = sum([size_bytes(tensor.array) for tensor in question.inputs.values()])
            if self._under_way.get(queue, 0) >= _MAX_COPIES or self._bytes + size > _MAX_BYTES:
                loaded.comparisons.dropped += 1
                continue
            self._under_way[queue] = self._under_way.get(queue, 0) + 1
            self._bytes += size
            answered = self._answer(loaded, shadow, question, request_id, outputs, follower.routing.tolerance)
            task = asyncio.create_task(answered, name=f"shadow {loaded.version.name}")
            self._tasks.add(task)
            task.add_done_callback(functools.partial(self._done, queue, size))

    async def settle(self) -> None:
        """Wait for all copies that are under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Give up what is under way, and copy nothing more."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_S)

    def _done(self, queue: Batcher, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._bytes -= size
        self._under_way[queue] -= 1
        if not self._under_way[queue]:
            del self._under_way[queue]

    async def _answer(
        self,
        loaded: Loaded,
        shadow: Shadow,
        question: Question,
        request_id: str,
        given: Sequence[Tensor],
        tolerance: float,
    ) -> None:
        set_remaining_s(None)  # whoever waited has the answer: how long they would have says nothing of this version
        counts, begun = loaded.comparisons, self._clock.monotonic()
        try:
            self._recorder.admit()
        except HeadwaterError:  # a shadow is the first to go without when records cannot be written
            counts.dropped += 1
            return
        try:
            computed = await loaded.compute(dataclasses.replace(question, version="", timeout_s=None))
        except HeadwaterError as error:
            _log.debug("a shadow fails", version=str(loaded.version.name), reason=error.reason)
            self._count_failure(loaded)
            return
        except Exception as error:
            _log.warning("a shadow fails", version=str(loaded.version.name), exc_info=error)
            self._count_failure(loaded)
            return
        self._record(loaded, shadow, question, request_id, computed, begun)
        if sum(size_bytes(tensor.array) for tensor in given) > _IN_THREAD_BYTES:
            difference = await asyncio.to_thread(compare, given, computed.outputs, tolerance)
        else:
            difference = compare(given, computed.outputs, tolerance)
        counts.add(difference)
        loaded.watch.window.compare(self._clock.monotonic(), agreed=difference.agrees)

    def _count_failure(self, loaded: Loaded) -> None:
        loaded.comparisons.failed += 1
        loaded.watch.window.compare(self._clock.monotonic(), agreed=False)

    def _record(
        self, loaded: Loaded, shadow: Shadow, question: Question, request_id: str, computed: Answer, begun: float
    ) -> None:
        answered = Answered(
            new_id(),
            loaded.served_for(question),
            question.caller,
            question.client_request_id,
            self._clock.now(),
            self._clock.monotonic() - begun,
            computed.batch_rows,
            computed.rows,
            question.inputs.values(),
            computed.outputs,
            part_of=request_id,
            is_final=False,
            variant=shadow.target.name,
        )
        self._recorder.add(answered)

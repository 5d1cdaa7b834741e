"""Dynamic batching: while the engines compute, requests queue; what has queued is the next batch.

An idle engine therefore never waits, unless the deployment allows it and measured times say that waiting pays; a busy
one gets batches as large as the load makes them. One thread per engine forms batches and computes them; the event loop
only queues requests and hands out answers.

Promises, each with a test in tests/unit/inference/batching/:

- A request's answer holds the rows of that request and no others.
- Only requests whose tensors agree in every dimension but the first, and but those that are padded, are computed
  together.
- A batch that fails is computed again request by request, so that only those fail that fail alone.
- A request whose caller went away leaves the queue at once; a computation for which nobody waits any more is stopped,
  and the one after it is not.
- The queue is bounded by requests and by bytes; who finds it full of requests as important as theirs is refused, with a
  hint when to come back.
- A request whose deadline has passed is not computed. None waits for ever, however many are more important.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from services.inference.batching.answers import hand_out
from services.inference.batching.counts import BatchCounts
from services.inference.batching.curve import Curve
from services.inference.batching.options import InvalidBatching, Limits
from services.inference.batching.padding import Padder
from services.inference.batching.queue import RequestQueue, Taker
from services.inference.batching.waiting import NEVER, Computed, Shapes, Waiting
from services.inference.batching.worker import Result, Worker
from services.inference.engines.engine import Engine
from services.inference.errors import InvalidRequest, ModelNotReady, QueueFull, QueueTimedOut
from services.inference.tensors.model import Array, size_bytes

_MIN_RETRY_MS, _MAX_RETRY_MS = 10, 5_000
_STOP_AGAIN_S = 0.05

_log = structlog.get_logger("inference.batcher")


class Batcher:
    """The queue before the engines of one model, and their threads. Used in one event loop.

    Takes over the engines, which are instances of the same model, and closes them.
    """

    def __init__(self, name: str, engines: Sequence[Engine], limits: Limits, *, timeout_s: float) -> None:
        """Raises InvalidBatching where the padding in ``limits`` does not fit the model."""
        self.name = name
        self.timeout_s = timeout_s
        self.signature = engines[0].signature
        self.platform = engines[0].platform
        self.batchable = self.signature.batchable
        self._padder = Padder(limits.padding, self.signature)
        self.curve = Curve()
        """How long a batch of so many rows takes, of whatever shape."""
        self.misfit = ""
        """Why the padding that was asked for last is not used; empty if it is."""
        self._asked_for = limits
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(limits, expired=self._expired, shed=self._shed)
        self._closing = False
        self._closed = asyncio.Event()
        self._clearing: asyncio.TimerHandle | None = None
        self._stopping: asyncio.TimerHandle | None = None
        self._at_work = len(engines)
        self._workers = [Worker(engine, self, self._ended) for engine in engines]

    @property
    def limits(self) -> Limits:
        """The bounds of the queue; new ones hold from the next request on.

        Where new ones have a padding that does not fit the model, the padding stays and ``misfit`` says so.
        """
        return self._queue.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        if limits == self._asked_for:
            return
        self._asked_for, self.misfit = limits, ""
        try:
            self._padder = Padder(limits.padding, self.signature)
        except InvalidBatching as error:
            self.misfit = error.message
            limits = dataclasses.replace(limits, padding=self.limits.padding)
        self._queue.limits = limits

    @property
    def instances(self) -> int:
        """How many engines compute."""
        return len(self._workers)

    @property
    def counts(self) -> BatchCounts:
        """What the engines have done together, as of now."""
        return BatchCounts.sum(worker.counts for worker in self._workers)

    @property
    def queue_length(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def answers(self) -> bool:
        """Whether a request would be taken: not when closing, nor while no engine lets itself be stopped."""
        if self._closing:
            return False
        for worker in self._workers:  # noqa: SIM110 (asked for every request: any() takes three times as long)
            if not worker.hangs:
                return True
        return False

    async def compute(self, inputs: Sequence[Array], *, priority: int = 0, deadline: float = NEVER) -> Computed:
        """The outputs for ``inputs``, both in the order of the signature.

        Args:
            priority: a level of the deployment's, 1 the first; 0 for its default.
            deadline: when it is too late to begin, a reading of ``time.monotonic``.

        Raises:
            InvalidRequest: the deployment has no such priority.
            QueueFull: too many requests or bytes wait already, or more important ones have come.
            QueueTimedOut: the deadline has passed, or the longest time that a request may wait.
            ModelNotReady: the batcher is closing, or its engines hang.
            EngineFailed, EngineTimedOut: this request could not be computed.
        """
        if not self.answers:
            raise ModelNotReady(model=self.name, retry_after_ms=1000)
        waiting = self._waiting(inputs, priority, deadline)
        if not self._queue.put(waiting):
            raise self._full()
        try:
            return await waiting.answer
        except asyncio.CancelledError:  # the caller went away, or its deadline passed
            if not self._queue.remove(waiting):
                self._stop_abandoned()
            raise

    def stop_overdue(self) -> None:
        """End computations that have run longer than allowed. To be called from time to time."""
        self._stop_abandoned()
        for worker in self._workers:
            worker.stop_overdue()

    async def close(self) -> None:
        """Take no more requests, compute those that wait, then close the engines."""
        self._closing = True
        self._queue.close()
        await self._closed.wait()
        for timer in (self._clearing, self._stopping):
            if timer is not None:
                timer.cancel()

    def check_priority(self, priority: int) -> None:
        """Go on if a request may name it; raises InvalidRequest."""
        if priority:
            self._level(priority)

    def _waiting(self, inputs: Sequence[Array], priority: int, deadline: float) -> Waiting:
        limits, now = self._queue.limits, time.monotonic()
        padded = self._padder.shapes(inputs) if limits.padding and self.batchable else None
        shapes, lengths = padded or (tuple([array.shape[1:] for array in inputs]), ())
        if limits.queue_timeout_s:
            deadline = min(deadline, now + limits.queue_timeout_s)
            self._clear_at(deadline)
        return Waiting(
            inputs,
            inputs[0].shape[0] if self.signature.batchable else 1,
            shapes,
            sum([size_bytes(array) for array in inputs]),
            self._loop.create_future(),
            now,
            self._level(priority) if priority or limits.priority_levels else 0,
            deadline,
            self._padder if padded else None,
            lengths,
        )

    def _level(self, priority: int) -> int:
        levels = self._queue.limits.priority_levels
        if not 0 <= priority <= levels:
            known = f"the priorities 1 (first) to {levels}" if levels else "no priorities"
            raise InvalidRequest(f"{self.name} has {known}; the request asks for {priority}.", parameter="priority")
        return priority or self._queue.limits.default_priority or levels

    # Requests that leave without having been computed.

    def _full(self) -> QueueFull:
        return QueueFull(model=self.name, waiting=len(self._queue), retry_after_ms=self._retry_ms())

    def _retry_ms(self) -> int:
        """How long the engines need for what waits, as far as they were measured."""
        rows, most = self._queue.rows, self.limits.max_batch_rows
        batch_s = self.curve.seconds(min(rows, most)) or 0.0
        batches = rows / most / len(self._workers)
        return int(min(max(batches * batch_s * 1000, _MIN_RETRY_MS), _MAX_RETRY_MS))

    def _shed(self, gone: Sequence[Waiting]) -> None:
        error = self._full()
        self.answer([(waiting, error) for waiting in gone])

    def _expired(self, gone: Sequence[Waiting]) -> None:
        self.answer([(waiting, QueueTimedOut(model=self.name)) for waiting in gone])

    def _clear_at(self, deadline: float) -> None:
        """Drop what has waited for too long even while the engines are too busy to see it."""
        if self._clearing is None and deadline != NEVER:
            self._clearing = self._loop.call_later(max(deadline - time.monotonic(), 0.001), self._clear)

    def _clear(self) -> None:
        self._clearing = None
        self._clear_at(self._queue.expire())

    def _stop_abandoned(self) -> None:
        stopped = [worker.stop_if_abandoned() for worker in self._workers]
        if any(stopped) and self._stopping is None and not self._loop.is_closed():
            self._stopping = self._loop.call_later(_STOP_AGAIN_S, self._stop_again)

    def _stop_again(self) -> None:
        self._stopping = None
        self._stop_abandoned()

    # What follows is called by the threads of the workers.

    def take(self, taker: Taker, *, together: bool) -> list[Waiting]:
        """See Desk."""
        return self._queue.take(taker, together=together)

    def computed(self, fits_with: Shapes, rows: int, seconds: float) -> None:
        """See Desk."""
        self.curve.add(rows, seconds)
        self._queue.computed(fits_with, rows, seconds)

    def answer(self, answers: Sequence[tuple[Waiting, Result]]) -> None:
        """See Desk."""
        self._call(hand_out, answers)

    def _ended(self) -> None:
        self._call(self._one_less)

    def _one_less(self) -> None:
        self._at_work -= 1
        if not self._at_work:
            self._closed.set()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has ended, and with it everybody who waited
            _log.debug("nobody waits any more", model=self.name)

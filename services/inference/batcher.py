"""Dynamic batching: while the engine computes, requests queue; what has queued is its next batch.

An idle engine therefore never waits, and a busy one gets batches as large as the load makes them. One thread per loaded
model forms the batches and calls the engine; the event loop only queues requests and hands out answers.

Promises, each with a test in tests/unit/inference/test_batcher.py:

- A request's answer holds the rows of that request and no others.
- Only requests whose tensors agree in every dimension but the first are computed together.
- A batch that fails is computed again request by request, so that only those fail that fail alone.
- A request whose caller went away leaves the queue at once; a computation for which nobody waits any more is stopped.
- The queue is bounded by requests and by bytes; who finds it full is refused, with a hint when to come back.
"""

import asyncio
import collections
import dataclasses
import queue
import threading
import time
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import structlog

from services.inference.engines.engine import Engine, EngineFailed, EngineTimedOut
from services.inference.errors import ModelNotReady, QueueFull
from services.inference.tensors.model import Array

_MIN_RETRY_MS, _MAX_RETRY_MS = 10, 5_000
_SMOOTHING = 0.2  # the weight of the newest batch in the average batch time

_log = structlog.get_logger("inference.batcher")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one model's queue. A request with more rows than a batch may have is computed by itself."""

    max_batch_rows: int
    max_queue_requests: int
    max_queue_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Computed:
    """The outputs for one request, its rows, and the rows of the batch that it was computed in."""

    outputs: Sequence[Array]
    rows: int
    batch_rows: int


@dataclasses.dataclass(slots=True)
class BatchCounts:
    """What the engine has done. Written by the batcher's thread alone; reading it at any time is safe."""

    batches: int = 0
    rows: int = 0
    engine_s: float = 0.0
    queue_s: float = 0.0
    by_rows: dict[int, tuple[int, float]] = dataclasses.field(default_factory=dict)
    """How many batches had this many rows, and the engine's seconds for them."""

    def add(self, rows: int, engine_s: float, queue_s: float) -> None:
        """Count one batch."""
        self.batches += 1
        self.rows += rows
        self.engine_s += engine_s
        self.queue_s += queue_s
        count, seconds = self.by_rows.get(rows, (0, 0.0))
        self.by_rows[rows] = count + 1, seconds + engine_s


@dataclasses.dataclass(slots=True, eq=False)
class _Waiting:
    inputs: Sequence[Array]
    rows: int
    fits_with: tuple[tuple[int, ...], ...]
    size_bytes: int
    answer: "asyncio.Future[Computed]"
    since: float


_Result: TypeAlias = "Computed | Exception"
_ABANDONED = EngineFailed("Nobody waits for this any more.")


class _CannotSplit(Exception):
    """The outputs of a batch do not have one row for each of its rows."""


class Batcher:
    """The queue before one engine. Made and used in one event loop; takes over the engine and closes it."""

    def __init__(self, name: str, engine: Engine, limits: Limits, *, timeout_s: float) -> None:
        self.name = name
        self.signature = engine.signature
        self.platform = engine.platform
        self.limits = limits
        self.counts = BatchCounts()
        self._engine = engine
        self._timeout_s = timeout_s
        self._batchable = engine.signature.batchable
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._queue: collections.OrderedDict[int, _Waiting] = collections.OrderedDict()
        self._queued_bytes = 0
        # One token for each request; the thread sleeps on them and skips those whose request went with another.
        self._tokens: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._closing = False
        self._closed = asyncio.Event()
        self._running: Sequence[_Waiting] = ()
        self._running_since: float | None = None
        self._overdue = False
        self._batch_s = 0.0
        threading.Thread(target=self._work, name=f"engine {name}", daemon=True).start()

    @property
    def queue_length(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def answers(self) -> bool:
        """Whether a request would be computed: False once closing, and while a computation does not let itself be
        stopped."""
        return not (self._closing or self._overdue)

    async def compute(self, inputs: Sequence[Array]) -> Computed:
        """The outputs for ``inputs``, both in the order of the signature.

        Raises:
            QueueFull: too many requests or bytes wait already.
            ModelNotReady: the batcher is closing, or its engine hangs.
            EngineFailed, EngineTimedOut: this request could not be computed.
        """
        waiting = self._admit(inputs)
        try:
            return await waiting.answer
        except asyncio.CancelledError:  # the caller went away, or its deadline passed
            self._forget(waiting)
            raise

    def stop_overdue(self) -> None:
        """End a computation that has run longer than allowed. To be called from time to time."""
        with self._lock:  # so that the computation that is stopped is the one that was looked at
            self._stop_if_abandoned()
            since = self._running_since
            if since is None or self._overdue or time.monotonic() - since <= self._timeout_s:
                return
            self._overdue = True
            self._engine.stop()
        _log.warning("stopping a computation that takes too long", model=self.name, limit_s=self._timeout_s)

    async def close(self) -> None:
        """Take no more requests, compute those that wait, then close the engine."""
        if not self._closing:
            self._closing = True
            self._tokens.put(False)  # behind the tokens of all requests
        await self._closed.wait()

    def _admit(self, inputs: Sequence[Array]) -> _Waiting:
        if not self.answers:
            raise ModelNotReady(model=self.name, retry_after_ms=1000)
        rows = inputs[0].shape[0] if self._batchable else 1
        waiting = _Waiting(
            inputs,
            rows,
            tuple(array.shape[1:] for array in inputs),
            sum(array.nbytes for array in inputs),
            self._loop.create_future(),
            time.monotonic(),
        )
        with self._lock:
            if (
                len(self._queue) >= self.limits.max_queue_requests
                or self._queued_bytes + waiting.size_bytes > self.limits.max_queue_bytes
            ):
                raise QueueFull(model=self.name, waiting=len(self._queue), retry_after_ms=self._retry_ms())
            self._queue[id(waiting)] = waiting
            self._queued_bytes += waiting.size_bytes
        self._tokens.put(True)
        return waiting

    def _retry_ms(self) -> int:
        batches = len(self._queue) / max(self.limits.max_batch_rows, 1) + 1
        return int(min(max(batches * self._batch_s * 1000, _MIN_RETRY_MS), _MAX_RETRY_MS))

    def _forget(self, waiting: _Waiting) -> None:
        with self._lock:
            if self._queue.pop(id(waiting), None) is not None:
                self._queued_bytes -= waiting.size_bytes
            else:
                self._stop_if_abandoned()

    def _stop_if_abandoned(self) -> None:
        if self._running and all(waiting.answer.cancelled() for waiting in self._running):
            self._engine.stop()

    # What follows runs in the batcher's thread.

    def _work(self) -> None:
        while self._tokens.get():
            batch = self._take()
            if batch:
                self._deliver(batch, self._compute(batch))
        self._engine.close()
        self._call(self._closed.set)

    def _take(self) -> list[_Waiting]:
        """The oldest request, and those behind it that can be computed with it."""
        with self._lock:
            batch: list[_Waiting] = []
            rows = 0
            for waiting in self._queue.values():
                if batch and waiting.fits_with != batch[0].fits_with:
                    continue
                if batch and (not self._batchable or rows + waiting.rows > self.limits.max_batch_rows):
                    break
                batch.append(waiting)
                rows += waiting.rows
            for waiting in batch:
                del self._queue[id(waiting)]
                self._queued_bytes -= waiting.size_bytes
        return batch

    def _compute(self, batch: Sequence[_Waiting]) -> list[_Result]:
        try:
            return [*self._run(batch)]
        except EngineTimedOut as error:
            return [error] * len(batch)  # one by one, each of them could take that long again
        except _CannotSplit:
            self._batchable = False
            _log.warning("the model mixes rows and is not batched any more", model=self.name)
        except Exception as error:
            if len(batch) == 1:
                return [error]
        return [_ABANDONED if waiting.answer.cancelled() else self._compute([waiting])[0] for waiting in batch]

    def _run(self, batch: Sequence[_Waiting]) -> list[Computed]:
        begun = time.monotonic()
        rows = sum(waiting.rows for waiting in batch)
        if len(batch) == 1:
            results = [Computed(self._predict(batch[0].inputs, batch), rows, rows)]
        else:
            inputs = [np.concatenate(parts) for parts in zip(*(waiting.inputs for waiting in batch), strict=True)]
            results = _split(self._predict(inputs, batch), batch, rows)
        taken_s = time.monotonic() - begun
        self._batch_s += _SMOOTHING * (taken_s - self._batch_s)
        self.counts.add(rows, taken_s, sum(begun - waiting.since for waiting in batch))
        return results

    def _predict(self, inputs: Sequence[Array], batch: Sequence[_Waiting]) -> list[Array]:
        with self._lock:
            self._running, self._running_since = batch, time.monotonic()
        try:
            return self._engine.predict(inputs)
        except Exception as error:
            if self._overdue:
                raise EngineTimedOut(model=self.name, limit_s=self._timeout_s) from error
            raise
        finally:
            with self._lock:
                self._running, self._running_since, self._overdue = (), None, False

    def _deliver(self, batch: Sequence[_Waiting], results: Sequence[_Result]) -> None:
        answers = [(waiting.answer, result) for waiting, result in zip(batch, results, strict=True)]
        self._call(_answer, answers)

    def _call(self, function: object, *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]
        except RuntimeError:  # the loop has ended, and with it everybody who waited
            _log.debug("nobody waits any more", model=self.name)


def _answer(answers: "Sequence[tuple[asyncio.Future[Computed], _Result]]") -> None:
    for future, result in answers:
        if future.done():  # cancelled
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def _split(outputs: Sequence[Array], batch: Sequence[_Waiting], rows: int) -> list[Computed]:
    if any(not output.ndim or output.shape[0] != rows for output in outputs):
        raise _CannotSplit
    results, start = [], 0
    for waiting in batch:
        end = start + waiting.rows
        results.append(Computed([output[start:end] for output in outputs], waiting.rows, rows))
        start = end
    return results

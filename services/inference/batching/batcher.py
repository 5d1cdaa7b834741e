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
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import structlog

from services.inference.batching.queue import Computed, Limits, RequestQueue, Waiting
from services.inference.engines.engine import Engine, EngineFailed, EngineTimedOut
from services.inference.errors import ModelNotReady, QueueFull
from services.inference.tensors.model import Array, size_bytes

_MIN_RETRY_MS, _MAX_RETRY_MS = 10, 5_000
_SMOOTHING = 0.2  # the weight of the newest batch in the average batch time

_Result: TypeAlias = "Computed | Exception"
_ABANDONED = EngineFailed("Nobody waits for this any more.")

_log = structlog.get_logger("inference.batcher")


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


class _CannotSplit(Exception):
    """The outputs of a batch do not have one row for each of its rows."""


class Batcher:
    """The queue before one engine, and its thread. Used in one event loop; takes over the engine and closes it."""

    def __init__(self, name: str, engine: Engine, limits: Limits, *, timeout_s: float) -> None:
        self.name = name
        self.signature = engine.signature
        self.platform = engine.platform
        self.counts = BatchCounts()
        self._engine = engine
        self._timeout_s = timeout_s
        self._batchable = engine.signature.batchable
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(limits)
        self._closing = False
        self._closed = asyncio.Event()
        self._lock = threading.Lock()  # for what runs: the loop stops only a computation that it has looked at
        self._running: Sequence[Waiting] = ()
        self._running_since = 0.0
        self._overdue = False
        self._batch_s = 0.0
        threading.Thread(target=self._work, name=f"engine {name}", daemon=True).start()

    @property
    def limits(self) -> Limits:
        """The bounds of the queue; new ones hold from the next request on."""
        return self._queue.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._queue.limits = limits

    @property
    def queue_length(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    @property
    def answers(self) -> bool:
        """Whether a request would be taken: not when closing, nor while a computation cannot be stopped."""
        return not (self._closing or self._overdue)

    async def compute(self, inputs: Sequence[Array]) -> Computed:
        """The outputs for ``inputs``, both in the order of the signature.

        Raises:
            QueueFull: too many requests or bytes wait already.
            ModelNotReady: the batcher is closing, or its engine hangs.
            EngineFailed, EngineTimedOut: this request could not be computed.
        """
        if not self.answers:
            raise ModelNotReady(model=self.name, retry_after_ms=1000)
        waiting = Waiting(
            inputs,
            inputs[0].shape[0] if self._batchable else 1,
            tuple([array.shape[1:] for array in inputs]),
            sum([size_bytes(array) for array in inputs]),
            self._loop.create_future(),
            time.monotonic(),
        )
        if not self._queue.put(waiting):
            raise QueueFull(model=self.name, waiting=len(self._queue), retry_after_ms=self._retry_ms())
        try:
            return await waiting.answer
        except asyncio.CancelledError:  # the caller went away, or its deadline passed
            if not self._queue.remove(waiting):
                self._stop_if_abandoned()
            raise

    def stop_overdue(self) -> None:
        """End a computation that has run longer than allowed. To be called from time to time."""
        self._stop_if_abandoned()
        with self._lock:
            if not self._running or self._overdue or time.monotonic() - self._running_since <= self._timeout_s:
                return
            self._overdue = True
            self._engine.stop()
        _log.warning("stopping a computation that takes too long", model=self.name, limit_s=self._timeout_s)

    async def close(self) -> None:
        """Take no more requests, compute those that wait, then close the engine."""
        self._closing = True
        self._queue.close()
        await self._closed.wait()

    def _stop_if_abandoned(self) -> None:
        with self._lock:
            if self._running and all(waiting.answer.cancelled() for waiting in self._running):
                self._engine.stop()

    def _retry_ms(self) -> int:
        batches = len(self._queue) / self.limits.max_batch_rows + 1
        return int(min(max(batches * self._batch_s * 1000, _MIN_RETRY_MS), _MAX_RETRY_MS))

    # What follows runs in the batcher's thread.

    def _work(self) -> None:
        while batch := self._queue.take(together=self._batchable):
            results = self._compute(batch)
            self._call(_answer, [(waiting.answer, result) for waiting, result in zip(batch, results, strict=True)])
        self._engine.close()
        self._call(self._closed.set)

    def _compute(self, batch: Sequence[Waiting]) -> list[_Result]:
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

    def _run(self, batch: Sequence[Waiting]) -> list[Computed]:
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

    def _predict(self, inputs: Sequence[Array], batch: Sequence[Waiting]) -> list[Array]:
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
                self._running, self._overdue = (), False

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
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


def _split(outputs: Sequence[Array], batch: Sequence[Waiting], rows: int) -> list[Computed]:
    if any(not output.ndim or output.shape[0] != rows for output in outputs):
        raise _CannotSplit
    results, start = [], 0
    for waiting in batch:
        end = start + waiting.rows
        results.append(Computed([output[start:end] for output in outputs], waiting.rows, rows))
        start = end
    return results

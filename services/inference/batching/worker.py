"""One engine and its thread: takes batches from the queue, computes them, hands the answers to the event loop."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol, TypeAlias

import structlog

from headwater.errors import Unavailable
from services.inference.batching.counts import BatchCounts
from services.inference.batching.padding import CannotSplit, filled, split
from services.inference.batching.queue import Taker
from services.inference.batching.waiting import Computed, Shapes, Waiting
from services.inference.engines.engine import Engine, EngineCrashed, EngineFailed, EngineTimedOut
from services.inference.tensors.model import Array

Result: TypeAlias = "Computed | Exception"

_log = structlog.get_logger("inference.batcher")


class Desk(Protocol):
    """Where a worker gets its work and brings its answers. Called by the threads of all workers."""

    name: str
    timeout_s: float
    batchable: bool
    """Whether requests may be computed together; a worker that finds that they may not sets it to False."""

    def take(self, taker: Taker, *, together: bool) -> list[Waiting]:
        """The next batch, or nothing at the end; see RequestQueue.take."""

    def computed(self, fits_with: Shapes, rows: int, seconds: float) -> None:
        """A batch has been computed."""

    def answer(self, answers: Sequence[tuple[Waiting, Result]]) -> None:
        """These requests are done."""


@dataclasses.dataclass(slots=True)
class _Computation:
    """What an engine computes now, and for whom."""

    batch: Sequence[Waiting]
    since: float
    overdue: bool = False


class Worker:
    """See above. Takes over the engine and closes it when there is no more work; then calls ``ended``."""

    def __init__(self, engine: Engine, desk: Desk, ended: Callable[[], None]) -> None:
        self.counts = BatchCounts()
        self.hangs = False
        """Whether it computes something that was stopped and does not end."""
        self._engine = engine
        self._desk = desk
        self._ended = ended
        self._taker: Taker = SimpleQueue()
        # For what runs: it is stopped only by who has looked at it under this lock, so that nobody stops the next one.
        self._lock = threading.Lock()
        self._running: _Computation | None = None
        threading.Thread(target=self._work, name=f"engine {desk.name}", daemon=True).start()

    def stop_if_abandoned(self) -> bool:
        """End what is computed if nobody waits for it; whether that is so. It may take a second call where the engine
        was just about to begin."""
        with self._lock:
            running = self._running
            if running is None or not _abandoned(running.batch):
                return False
            self._engine.stop()
        return True

    def stop_overdue(self) -> None:
        """End what is computed if it has run longer than allowed."""
        with self._lock:
            running, limit_s = self._running, self._desk.timeout_s
            if running is None or running.overdue or time.monotonic() - running.since <= limit_s:
                return
            running.overdue = self.hangs = True
            self._engine.stop()
        _log.warning("stopping a computation that takes too long", model=self._desk.name, limit_s=limit_s)

    # What follows runs in the worker's thread.

    def _work(self) -> None:
        while batch := self._desk.take(self._taker, together=self._desk.batchable):
            self._compute(batch)
            del batch  # an idle engine keeps no request in memory
        try:
            self._engine.close()
        except Exception as error:  # whoever waits for the end of all engines is not to wait for ever
            _log.error("an engine cannot be closed", model=self._desk.name, exc_info=error)
        self._ended()

    def _compute(self, batch: Sequence[Waiting]) -> None:
        """Answer the requests of a batch: together, and if that fails, each by itself."""
        batch = [waiting for waiting in batch if not waiting.answer.cancelled()]
        if not batch:
            return
        try:
            results = self._run(batch)
        except (EngineTimedOut, EngineCrashed, Unavailable) as error:
            # One by one each of them could take that long or crash it again, or find the same engine away.
            self._fail(batch, error)
        except CannotSplit:
            self._desk.batchable = False
            _log.warning("the model mixes rows or lengths and is not batched any more", model=self._desk.name)
            for waiting in batch:
                waiting.padder = None
                self._compute([waiting])
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch, error)
            else:
                for waiting in batch:
                    self._compute([waiting])
        else:
            self._desk.answer([*zip(batch, results, strict=True)])

    def _fail(self, batch: Sequence[Waiting], error: Exception) -> None:
        self._desk.answer([(waiting, error) for waiting in batch])

    def _run(self, batch: Sequence[Waiting]) -> list[Computed]:
        begun = time.monotonic()
        rows = sum([waiting.rows for waiting in batch])
        outputs = split(self._predict(batch), batch)
        taken_s = time.monotonic() - begun
        results = [Computed(own, waiting.rows, rows, taken_s) for own, waiting in zip(outputs, batch, strict=True)]
        self.counts.add(rows, taken_s, sum([begun - waiting.since for waiting in batch]))
        self._desk.computed(batch[0].fits_with, rows, taken_s)
        return results

    def _predict(self, batch: Sequence[Waiting]) -> list[Array]:
        parts = [filled(waiting) for waiting in batch]
        running = _Computation(batch, time.monotonic())
        with self._lock:
            self._running = running
        try:
            if _abandoned(batch):  # all went while there was nothing yet that could have been stopped
                raise EngineFailed("Nobody waits for this any more.")
            return self._engine.predict(self._engine.gather(parts) if len(parts) > 1 else parts[0])
        except Exception as error:
            if running.overdue:
                raise EngineTimedOut(model=self._desk.name, limit_s=self._desk.timeout_s) from error
            raise
        finally:
            with self._lock:
                self._running, self.hangs = None, False


def _abandoned(batch: Sequence[Waiting]) -> bool:
    return all(waiting.answer.cancelled() for waiting in batch)

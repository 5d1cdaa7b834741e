"""The requests that wait for one engine: put in by the event loop, taken out by the batcher's thread."""

import asyncio
import collections
import dataclasses
import queue
import threading
from collections.abc import Sequence

from services.inference.tensors.model import Array


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


@dataclasses.dataclass(slots=True, eq=False)
class Waiting:
    """A request and the future of its answer. Requests whose ``fits_with`` are equal can be computed together."""

    inputs: Sequence[Array]
    rows: int
    fits_with: tuple[tuple[int, ...], ...]
    size_bytes: int
    answer: "asyncio.Future[Computed]"
    since: float


class RequestQueue:
    """First in, first out, as far as shapes allow. Every method may be called by any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: collections.OrderedDict[int, Waiting] = collections.OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._closed = False
        # The taker is woken only when it sleeps: waking a thread costs more than all else that is done here.
        self._taker_sleeps = False
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting) -> bool:
        """Add a request at the end; False if the queue is full."""
        with self._lock:
            limits = self.limits
            if len(self._waiting) >= limits.max_queue_requests:
                return False
            if self._bytes + waiting.size_bytes > limits.max_queue_bytes:
                return False
            self._waiting[id(waiting)] = waiting
            self._bytes += waiting.size_bytes
            self._wake_taker()
        return True

    def remove(self, waiting: Waiting) -> bool:
        """Take out a request that is not to be computed any more; False if it has been taken already."""
        with self._lock:
            return self._remove(waiting)

    def take(self, *, together: bool) -> list[Waiting]:
        """The oldest request and, if they may be computed ``together``, those that fit with it; waits for one to come.

        Empty once the queue is closed and everything has been taken.
        """
        while True:
            with self._lock:
                if self._waiting or self._closed:
                    return self._take(together)
                self._taker_sleeps = True
            self._wake.get()

    def close(self) -> None:
        """Let ``take`` end when everything has been taken."""
        with self._lock:
            self._closed = True
            self._wake_taker()

    def _take(self, together: bool) -> list[Waiting]:
        batch: list[Waiting] = []
        rows = 0
        for waiting in self._waiting.values():
            if batch and waiting.fits_with != batch[0].fits_with:
                continue
            if batch and (not together or rows + waiting.rows > self.limits.max_batch_rows):
                break
            batch.append(waiting)
            rows += waiting.rows
        for waiting in batch:
            self._remove(waiting)
        return batch

    def _remove(self, waiting: Waiting) -> bool:
        if self._waiting.pop(id(waiting), None) is None:
            return False
        self._bytes -= waiting.size_bytes
        return True

    def _wake_taker(self) -> None:
        if self._taker_sleeps:
            self._taker_sleeps = False
            self._wake.put(None)

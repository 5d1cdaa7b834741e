"""The requests that wait for the engines of one model: put in by the event loop, taken out by the engines' threads.

They are taken in the order of Lines. So that nobody starves by that order, every eighth batch begins with the request
that has waited longest.
"""

import collections
import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from services.inference.batching.lines import Lines
from services.inference.batching.options import Limits
from services.inference.batching.patience import worth_waiting
from services.inference.batching.rhythm import Rhythm
from services.inference.batching.waiting import NEVER, Entry, Shapes, Waiting

OLDEST_EVERY = 8
_MAX_RHYTHMS = 64

Taker: TypeAlias = "queue.SimpleQueue[None]"
"""What one thread that takes is woken by."""


@dataclasses.dataclass(slots=True)
class _Linger:
    """Somebody who waits for more requests of a line: for so many rows, and to be done by then."""

    taker: Taker
    rows: int
    done_by: float


class RequestQueue:
    """See above. Every method may be called by any thread.

    ``expired`` gets the requests whose deadline has passed, ``shed`` those that had to make room for more important
    ones; both are called under the lock of the queue.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        expired: Callable[[Sequence[Waiting]], None],
        shed: Callable[[Sequence[Waiting]], None],
    ) -> None:
        self.limits = limits
        self._expired = expired
        self._shed = shed
        self._lines = Lines()
        self._rhythms: collections.OrderedDict[Shapes, Rhythm] = collections.OrderedDict()
        self._turn = 0
        self._lock = threading.Lock()
        self._closed = False
        # Takers are woken only when they sleep: waking a thread costs more than all else that is done here.
        self._sleeping: list[Taker] = []
        self._coming = 0  # how many have been woken and are not here yet
        self._lingering: dict[Shapes, _Linger] = {}

    def __len__(self) -> int:
        return self._lines.length

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self._lines.rows

    def put(self, waiting: Waiting) -> bool:
        """Add a request; False if the queue is full of requests that are as important."""
        limits, lines = self.limits, self._lines
        with self._lock:
            if (
                lines.length >= limits.max_queue_requests
                or lines.size_bytes + waiting.size_bytes > limits.max_queue_bytes
            ) and not self._make_room(waiting):
                return False
            lines.add(waiting)
            if self._lingering or limits.max_delay_s:
                self._hurry(waiting)
            elif self._sleeping:
                self._rouse()
        return True

    def remove(self, waiting: Waiting) -> bool:
        """Take out a request that is not to be computed any more; False if it has left already."""
        with self._lock:
            return self._lines.remove(waiting)

    def take(self, taker: Taker, *, together: bool) -> list[Waiting]:
        """The next request and, if they may be computed ``together``, those that fit with it; waits for one to come,
        and for more where that pays. Every thread has a ``taker`` of its own.

        Empty once the queue is closed and everything has been taken.
        """
        slept = False
        while True:
            with self._lock:
                if slept or self._lingering:
                    self._awake(taker, slept)
                batch, wait_s = self._next(taker, together)
                if batch or (self._closed and not self._lines.length):
                    return batch
                if wait_s is None:
                    self._sleeping.append(taker)
            with contextlib.suppress(queue.Empty):
                taker.get(timeout=wait_s)
            slept = wait_s is None

    def expire(self) -> float:
        """Drop what has waited for too long; answers when to do that again, which may be never."""
        with self._lock:
            self._drop_expired()
            return self._lines.next_deadline

    def computed(self, fits_with: Shapes, rows: int, seconds: float) -> None:
        """A batch of this shape took so long. Costs nothing where nobody ever waits."""
        if self.limits.max_delay_s:
            with self._lock:
                self._rhythm(fits_with).curve.add(rows, seconds)

    def close(self) -> None:
        """Let ``take`` end when everything has been taken."""
        with self._lock:
            self._closed = True
            while self._sleeping:
                self._rouse()
            while self._lingering:
                self._stir(next(iter(self._lingering)))

    # What follows is called under the lock.

    def _next(self, taker: Taker, together: bool) -> tuple[list[Waiting], float | None]:
        """A batch, or for how long to wait for a better one, or neither."""
        lines, lingering = self._lines, self._lingering  # somebody else takes care of those
        if lines.next_deadline != NEVER:
            self._drop_expired()
        shapes = lines.next(lingering)
        if shapes is None:
            return [], None
        self._turn += 1
        oldest_first = not lines.in_order and self._turn % OLDEST_EVERY == 0
        if oldest_first:
            shapes = lines.promote_oldest(lingering)
        line = lines.line(shapes)
        count, rows = self._count(line) if together and len(line) > 1 else (1, line[0][3].rows)
        if self.limits.max_delay_s and together and not oldest_first and count == len(line):
            wait_s = self._linger(taker, shapes, line, rows)
            if wait_s is not None:
                return [], wait_s
        return lines.take(shapes, count), None

    def _count(self, line: Sequence[Entry]) -> tuple[int, int]:
        """How many requests of the line are the next batch, and their rows."""
        most, preferred = self.limits.max_batch_rows, self.limits.preferred_rows
        count = rows = 0
        chosen = None
        for entry in line:
            more = rows + entry[3].rows
            if count and more > most:
                break
            count, rows = count + 1, more
            if preferred and more in preferred:
                chosen = count, rows
            if more >= most:
                break
        return chosen or (count, rows)

    def _linger(self, taker: Taker, shapes: Shapes, line: Sequence[Entry], rows: int) -> float | None:
        """For how long to wait for more of a line, if that pays, and keeps every deadline and the longest delay."""
        limits = self.limits
        if rows >= limits.max_batch_rows or rows in limits.preferred_rows or self._closed:
            return None
        if self._sleeping or self._lines.count - len(self._lingering) > 1:
            return None  # another engine is idle, and computes at once what comes next; or this one has other work
        rhythm, now = self._rhythm(shapes), time.monotonic()
        wait = worth_waiting(
            rows,
            limits.max_batch_rows - rows,
            rows_per_s=rhythm.rows_per_s(now),
            limit_s=min(entry[3].since for entry in line) + limits.max_delay_s - now,
            done_by_s=min(entry[3].deadline for entry in line) - now,
            seconds=rhythm.curve.seconds,
        )
        if wait is None:
            return None
        self._lingering[shapes] = _Linger(taker, wait.rows - rows, now + wait.done_s)
        return wait.seconds

    def _hurry(self, new: Waiting) -> None:
        """Wake who waits for more when that has come, or there is other work, or no time; else who sleeps."""
        if self.limits.max_delay_s:
            self._rhythm(new.fits_with).arrive(new.rows, new.since)
        linger = self._lingering.get(new.fits_with)
        if linger is not None:
            linger.rows -= new.rows
            if linger.rows <= 0 or new.deadline < linger.done_by:
                self._stir(new.fits_with)
        elif self._sleeping:
            self._rouse()
        elif self._lingering and not self._coming:
            self._stir(next(iter(self._lingering)))

    def _stir(self, shapes: Shapes) -> None:
        """End the waiting for more of this line."""
        self._lingering.pop(shapes).taker.put(None)

    def _rouse(self) -> None:
        """Wake somebody who sleeps."""
        self._coming += 1
        self._sleeping.pop().put(None)

    def _awake(self, taker: Taker, slept: bool) -> None:
        if slept and taker not in self._sleeping:
            self._coming -= 1
        elif slept:  # by what was meant for when it waited for more
            self._sleeping.remove(taker)
        if self._lingering:
            self._lingering = {shapes: each for shapes, each in self._lingering.items() if each.taker is not taker}

    def _drop_expired(self) -> None:
        if expired := self._lines.take_expired():
            self._expired(expired)

    def _make_room(self, waiting: Waiting) -> bool:
        """Whether there is room now: by what has expired, or else by what is less important."""
        limits, lines = self.limits, self._lines
        self._drop_expired()
        requests = lines.length + 1 - limits.max_queue_requests
        size_bytes = lines.size_bytes + waiting.size_bytes - limits.max_queue_bytes
        if requests <= 0 and size_bytes <= 0:
            return True
        shed = lines.take_less_important(waiting.level, requests, size_bytes)
        if shed:
            self._shed(shed)
        return bool(shed)

    def _rhythm(self, shapes: Shapes) -> Rhythm:
        rhythm = self._rhythms.get(shapes)
        if rhythm is None:
            rhythm = self._rhythms[shapes] = Rhythm()
            if len(self._rhythms) > _MAX_RHYTHMS:
                self._rhythms.popitem(last=False)
        else:
            self._rhythms.move_to_end(shapes)
        return rhythm

"""The requests that wait for the engines of one model: put in by the event loop, taken out by the engines' threads.

Order: by level, within a level by urgency: the deadline, or some time after the arrival for who has none. So that
nobody starves, every eighth batch begins with the request that has waited longest.
"""

import bisect
import collections
import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from services.inference.batching.options import Limits
from services.inference.batching.patience import worth_waiting
from services.inference.batching.rhythm import Rhythm
from services.inference.batching.waiting import NEVER, Entry, Place, Shapes, Waiting

OLDEST_EVERY = 8
"""So many batches one that begins with the request that has waited longest, whatever its level and deadline."""
_ORDINARY_S = 10.0  # a request without a deadline, or with a far one, is as urgent as if it had so long
_MAX_RHYTHMS = 64

Taker: TypeAlias = "queue.SimpleQueue[None]"
"""What one thread that takes is woken by."""

_FIRST: Place = (0, 0.0, 0)


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
        self.rows = 0
        """How many rows wait."""
        self._expired = expired
        self._shed = shed
        self._lines: dict[Shapes, list[Entry]] = {}  # by what can be computed together, each in order; none is empty
        self._rhythms: collections.OrderedDict[Shapes, Rhythm] = collections.OrderedDict()
        self._length = 0
        self._bytes = 0
        self._number = 0
        self._turn = 0
        self._in_order = True  # whether what waits would be taken as it came
        self._last: Entry | Place = _FIRST
        self._next_deadline = NEVER  # no request that waits has an earlier one
        self._lock = threading.Lock()
        self._closed = False
        # Takers are woken only when they sleep: waking a thread costs more than all else that is done here.
        self._sleeping: list[Taker] = []
        self._lingering: dict[Shapes, _Linger] = {}

    def __len__(self) -> int:
        return self._length

    def put(self, waiting: Waiting) -> bool:
        """Add a request; False if the queue is full of requests that are as important."""
        limits = self.limits
        deadline, urgency = waiting.deadline, waiting.since + _ORDINARY_S
        if deadline < urgency:
            urgency = deadline
        with self._lock:
            if (
                self._length >= limits.max_queue_requests or self._bytes + waiting.size_bytes > limits.max_queue_bytes
            ) and not self._make_room(waiting):
                return False
            self._number += 1
            waiting.entry = entry = (waiting.level, urgency, self._number, waiting)
            if entry < self._last:
                self._in_order = False
            self._last = entry
            line = self._lines.get(waiting.fits_with)
            if line is None:
                self._lines[waiting.fits_with] = [entry]
            elif self._in_order:
                line.append(entry)
            else:
                bisect.insort(line, entry)
            self._length += 1
            self.rows += waiting.rows
            self._bytes += waiting.size_bytes
            if deadline < self._next_deadline:
                self._next_deadline = deadline
            if self._lingering or limits.max_delay_s:
                self._hurry(waiting)
            elif self._sleeping:
                self._sleeping.pop().put(None)
        return True

    def remove(self, waiting: Waiting) -> bool:
        """Take out a request that is not to be computed any more; False if it has left already."""
        with self._lock:
            if waiting.entry is None:
                return False
            line = self._lines[waiting.fits_with]
            del line[bisect.bisect_left(line, waiting.entry)]
            if not line:
                del self._lines[waiting.fits_with]
            self._left([waiting])
        return True

    def take(self, taker: Taker, *, together: bool) -> list[Waiting]:
        """The next request and, if they may be computed ``together``, those that fit with it; waits for one to come,
        and for more where that pays. Every thread has a ``taker`` of its own.

        Empty once the queue is closed and everything has been taken.
        """
        while True:
            with self._lock:
                if self._sleeping or self._lingering:
                    self._awake(taker)
                batch, wait_s = self._next(taker, together)
                if batch or (self._closed and not self._lines):
                    return batch
                if wait_s is None:
                    self._sleeping.append(taker)
            with contextlib.suppress(queue.Empty):
                taker.get(timeout=wait_s)

    def expire(self) -> float:
        """Drop what has waited for too long; answers when to do that again, which may be never."""
        with self._lock:
            self._drop_expired()
            return self._next_deadline

    def computed(self, fits_with: Shapes, rows: int, seconds: float) -> None:
        """A batch of this shape took so long. Costs nothing where nobody ever waits."""
        if self.limits.max_delay_s:
            with self._lock:
                self._rhythm(fits_with).curve.add(rows, seconds)

    def close(self) -> None:
        """Let ``take`` end when everything has been taken."""
        with self._lock:
            self._closed = True
            for taker in [*self._sleeping, *(each.taker for each in self._lingering.values())]:
                taker.put(None)
            self._sleeping.clear()

    # What follows is called under the lock.

    def _next(self, taker: Taker, together: bool) -> tuple[list[Waiting], float | None]:
        """A batch, or for how long to wait for a better one, or neither."""
        if self._next_deadline != NEVER:
            self._drop_expired()
        lines = self._lines
        if self._lingering:  # somebody else takes care of those
            lines = {shapes: line for shapes, line in lines.items() if shapes not in self._lingering}
        if not lines:
            return [], None
        self._turn += 1
        shapes = next(iter(lines)) if len(lines) == 1 else min(lines, key=lambda shapes: lines[shapes][0])
        oldest_first = not self._in_order and self._turn % OLDEST_EVERY == 0
        if oldest_first:
            shapes = self._promote_oldest(lines)
        line = lines[shapes]
        count, rows = self._count(line) if together and len(line) > 1 else (1, line[0][3].rows)
        if self.limits.max_delay_s and together and not oldest_first and count == len(line):
            wait_s = self._linger(taker, shapes, rows)
            if wait_s is not None:
                return [], wait_s
        batch = [entry[3] for entry in line[:count]]
        if count == len(line):
            del self._lines[shapes]
        else:
            del line[:count]
        self._left(batch)
        return batch, None

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

    def _linger(self, taker: Taker, shapes: Shapes, rows: int) -> float | None:
        """For how long to wait for more of a line, if that pays, and keeps every deadline and the longest delay."""
        limits, line = self.limits, self._lines[shapes]
        if rows >= limits.max_batch_rows or rows in limits.preferred_rows or self._closed:
            return None
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

    def _promote_oldest(self, lines: dict[Shapes, list[Entry]]) -> Shapes:
        """Put the request that has waited longest at the head of its line; which line that is."""
        oldest = min((entry for line in lines.values() for entry in line), key=lambda entry: entry[3].since)
        line = lines[oldest[3].fits_with]
        line.remove(oldest)
        line.insert(0, oldest)  # it is taken at once, so that the line stays in order
        return oldest[3].fits_with

    def _left(self, gone: Sequence[Waiting]) -> None:
        """Count out what has been taken out of its lines."""
        for waiting in gone:
            waiting.entry = None  # which also refers to the request
            self.rows -= waiting.rows
            self._bytes -= waiting.size_bytes
        self._length -= len(gone)
        if not self._length:
            self._in_order, self._last, self._next_deadline = True, _FIRST, NEVER

    def _take_out(self, chosen: Sequence[Waiting]) -> None:
        gone = set(chosen)
        for shapes in {waiting.fits_with for waiting in chosen}:
            self._lines[shapes] = [entry for entry in self._lines[shapes] if entry[3] not in gone]
            if not self._lines[shapes]:
                del self._lines[shapes]
        self._left(chosen)

    def _drop_expired(self) -> None:
        now = time.monotonic()
        if now < self._next_deadline:
            return
        late = [entry[3] for line in self._lines.values() for entry in line if entry[3].deadline <= now]
        if late:
            self._take_out(late)
            self._expired(late)
        deadlines = (entry[3].deadline for line in self._lines.values() for entry in line)
        self._next_deadline = min(deadlines, default=NEVER)

    def _make_room(self, waiting: Waiting) -> bool:
        """Whether there is room now: by what has expired, or else by what is less important, the last of it first."""
        limits = self.limits
        self._drop_expired()
        requests = self._length + 1 - limits.max_queue_requests
        size_bytes = self._bytes + waiting.size_bytes - limits.max_queue_bytes
        if requests <= 0 and size_bytes <= 0:
            return True
        if max((line[-1][0] for line in self._lines.values()), default=0) <= waiting.level:
            return False
        lower = sorted(entry for line in self._lines.values() for entry in line if entry[0] > waiting.level)
        victims: list[Waiting] = []
        while lower and (requests > 0 or size_bytes > 0):
            victim = lower.pop()[3]
            victims.append(victim)
            requests, size_bytes = requests - 1, size_bytes - victim.size_bytes
        if requests > 0 or size_bytes > 0:
            return False
        self._take_out(victims)
        self._shed(victims)
        return True

    def _hurry(self, new: Waiting) -> None:
        """Wake who lingers when it has what it waits for, or when it must not wait any longer; else who sleeps."""
        if self.limits.max_delay_s:
            self._rhythm(new.fits_with).arrive(new.rows, new.since)
        linger = self._lingering.get(new.fits_with)
        if linger is not None:
            linger.rows -= new.rows
            if linger.rows > 0 and new.deadline >= linger.done_by:
                return
            linger.taker.put(None)
        elif self._sleeping:
            self._sleeping.pop().put(None)
        elif self._lingering:
            next(iter(self._lingering.values())).taker.put(None)

    def _awake(self, taker: Taker) -> None:
        if taker in self._sleeping:  # woken for something that somebody else has taken
            self._sleeping.remove(taker)
        if self._lingering:
            self._lingering = {shapes: each for shapes, each in self._lingering.items() if each.taker is not taker}

    def _rhythm(self, shapes: Shapes) -> Rhythm:
        rhythm = self._rhythms.get(shapes)
        if rhythm is None:
            rhythm = self._rhythms[shapes] = Rhythm()
            if len(self._rhythms) > _MAX_RHYTHMS:
                self._rhythms.popitem(last=False)
        else:
            self._rhythms.move_to_end(shapes)
        return rhythm

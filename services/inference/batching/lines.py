"""What waits, in order. Not for several threads at once: the queue holds its lock while it uses this.

Order: by level, within a level by urgency: the deadline, or some time after the arrival for who has none. There is a
line for everything that can be computed together; the one whose first request comes first by that order is next.
"""

import bisect
import time
from collections.abc import Collection, Mapping, Sequence

from services.inference.batching.waiting import NEVER, Entry, Place, Shapes, Waiting

_FIRST: Place = (0, 0.0, 0)
_ORDINARY_S = 10.0  # a request without a deadline, or with a far one, is as urgent as if it had so long


class Lines:
    """See above. ``length``, ``rows`` and ``size_bytes`` are of all that waits."""

    __slots__ = ("_last", "_lines", "_number", "in_order", "length", "next_deadline", "rows", "size_bytes")

    def __init__(self) -> None:
        self.length = 0
        self.rows = 0
        self.size_bytes = 0
        self.in_order = True
        """Whether all would be taken as it came."""
        self.next_deadline = NEVER
        """Nobody who waits has an earlier one."""
        self._lines: dict[Shapes, list[Entry]] = {}  # none is empty
        self._number = 0
        self._last: Entry | Place = _FIRST

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    def add(self, waiting: Waiting) -> None:
        """Put a request in its place."""
        deadline, urgency = waiting.deadline, waiting.since + _ORDINARY_S
        if deadline < urgency:
            urgency = deadline
        if deadline < self.next_deadline:
            self.next_deadline = deadline
        self._number += 1
        waiting.entry = entry = (waiting.level, urgency, self._number, waiting)
        if entry < self._last:
            self.in_order = False
        self._last = entry
        line = self._lines.get(waiting.fits_with)
        if line is None:
            self._lines[waiting.fits_with] = [entry]
        elif self.in_order:
            line.append(entry)
        else:
            bisect.insort(line, entry)
        self.length += 1
        self.rows += waiting.rows
        self.size_bytes += waiting.size_bytes

    def remove(self, waiting: Waiting) -> bool:
        """Take out this request; False if it is not here any more."""
        if waiting.entry is None:
            return False
        line = self._lines[waiting.fits_with]
        del line[bisect.bisect_left(line, waiting.entry)]
        if not line:
            del self._lines[waiting.fits_with]
        self._count_out([waiting])
        return True

    def take(self, shapes: Shapes, count: int) -> list[Waiting]:
        """Take out the first ``count`` requests of a line."""
        line = self._lines[shapes]
        taken = [entry[3] for entry in line[:count]]
        if count == len(line):
            del self._lines[shapes]
        else:
            del line[:count]
        self._count_out(taken)
        return taken

    def line(self, shapes: Shapes) -> Sequence[Entry]:
        """The requests that can be computed together with these shapes, in order."""
        return self._lines[shapes]

    def next(self, without: Collection[Shapes] = ()) -> Shapes | None:
        """The line whose first request is next, of those that are not excepted; None if there is none."""
        lines: Mapping[Shapes, Sequence[Entry]] = self._lines
        if without:
            lines = {shapes: line for shapes, line in lines.items() if shapes not in without}
        if len(lines) <= 1:
            return next(iter(lines), None)
        return min(lines, key=lambda shapes: lines[shapes][0])

    def promote_oldest(self, without: Collection[Shapes] = ()) -> Shapes:
        """Put the request that has waited longest at the head of its line, and say which that is. It is to be taken at
        once, because the line is not in order any more."""
        entries = (entry for shapes, line in self._lines.items() if shapes not in without for entry in line)
        oldest = min(entries, key=lambda entry: entry[3].since)
        line = self._lines[oldest[3].fits_with]
        line.remove(oldest)
        line.insert(0, oldest)
        return oldest[3].fits_with

    def take_expired(self) -> Sequence[Waiting]:
        """Take out those whose deadline has passed."""
        now = time.monotonic()
        if now < self.next_deadline:
            return ()
        expired = [entry[3] for line in self._lines.values() for entry in line if entry[3].deadline <= now]
        self._take_out(expired)
        deadlines = (entry[3].deadline for line in self._lines.values() for entry in line)
        self.next_deadline = min(deadlines, default=NEVER)
        return expired

    def take_less_important(self, level: int, requests: int, size_bytes: int) -> Sequence[Waiting]:
        """Take out so many requests, and so many bytes, of later levels: the last of them first. None if that is not
        enough."""
        if max((line[-1][0] for line in self._lines.values()), default=0) <= level:
            return ()
        later = sorted(entry for line in self._lines.values() for entry in line if entry[0] > level)
        victims: list[Waiting] = []
        while later and (requests > 0 or size_bytes > 0):
            victim = later.pop()[3]
            victims.append(victim)
            requests, size_bytes = requests - 1, size_bytes - victim.size_bytes
        if requests > 0 or size_bytes > 0:
            return ()
        self._take_out(victims)
        return victims

    def _take_out(self, chosen: Sequence[Waiting]) -> None:
        gone = set(chosen)
        for shapes in {waiting.fits_with for waiting in chosen}:
            left = [entry for entry in self._lines[shapes] if entry[3] not in gone]
            if left:
                self._lines[shapes] = left
            else:
                del self._lines[shapes]
        self._count_out(chosen)

    def _count_out(self, gone: Sequence[Waiting]) -> None:
        for waiting in gone:
            waiting.entry = None  # which also refers to the request
            self.rows -= waiting.rows
            self.size_bytes -= waiting.size_bytes
        self.length -= len(gone)
        if not self.length:
            self.in_order, self._last, self.next_deadline = True, _FIRST, NEVER

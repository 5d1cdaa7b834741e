"""Aligning two sequences of digests: which ranges of one stand where which ranges of the other do.

As patience diff does (Bram Cohen): what is common at both ends is set aside, then what occurs once on both sides and
stands in the same order (the longest increasing run of it) divides the rest, until nothing divides any more. In time
n log n for n differing digests; the answer is always right, if not always the shortest.
"""

import bisect
import collections
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Hunk:
    """Items ``first`` to ``first + count`` of one sequence stand where those of the other do; both differ."""

    first: int
    count: int
    other_first: int
    other_count: int

    @property
    def end(self) -> int:
        """Just behind its last item."""
        return self.first + self.count

    @property
    def other_end(self) -> int:
        """Just behind the other's last item."""
        return self.other_first + self.other_count

    def moved(self, by: int, other_by: int) -> "Hunk":
        """The same further behind."""
        return Hunk(self.first + by, self.count, self.other_first + other_by, self.other_count)


def align(ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[Hunk]:
    """Where the two differ, in order; between the hunks they are equal, one by one."""
    hunks: list[Hunk] = []
    waiting = [Hunk(0, len(ours), 0, len(theirs))]
    while waiting:
        hunk = _trimmed(ours, theirs, waiting.pop())
        if not hunk.count and not hunk.other_count:
            continue
        anchors = _anchors(ours, theirs, hunk) if hunk.count and hunk.other_count else []
        if anchors:
            waiting.extend(reversed(_between(hunk, anchors)))
        else:
            hunks.append(hunk)
    return hunks


def _trimmed(ours: Sequence[bytes], theirs: Sequence[bytes], hunk: Hunk) -> Hunk:
    """Without what is equal at its ends."""
    first, end, other_first, other_end = hunk.first, hunk.end, hunk.other_first, hunk.other_end
    while first < end and other_first < other_end and ours[first] == theirs[other_first]:
        first, other_first = first + 1, other_first + 1
    while first < end and other_first < other_end and ours[end - 1] == theirs[other_end - 1]:
        end, other_end = end - 1, other_end - 1
    return Hunk(first, end - first, other_first, other_end - other_first)


def _anchors(ours: Sequence[bytes], theirs: Sequence[bytes], hunk: Hunk) -> list[tuple[int, int]]:
    """Pairs of equal items that occur once on each side, in the same order on both."""
    counts = collections.Counter(ours[hunk.first : hunk.end])
    other_counts = collections.Counter(theirs[hunk.other_first : hunk.other_end])
    places = {
        theirs[place]: place
        for place in range(hunk.other_first, hunk.other_end)
        if other_counts[theirs[place]] == 1 and counts.get(theirs[place]) == 1
    }
    pairs = [(place, places[ours[place]]) for place in range(hunk.first, hunk.end) if ours[place] in places]
    return _longest_increasing(pairs)


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The most of the pairs, which increase on the first side, that increase on the other too."""
    ends: list[int] = []  # the least value that a run of each length ends with
    last: list[int] = []  # and the pair that it belongs to
    before: list[int] = []
    for number, (_, value) in enumerate(pairs):
        length = bisect.bisect_left(ends, value)
        before.append(last[length - 1] if length else -1)
        if length == len(ends):
            ends.append(value)
            last.append(number)
        else:
            ends[length], last[length] = value, number
    run = []
    number = last[-1] if last else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return run[::-1]


def _between(hunk: Hunk, anchors: Sequence[tuple[int, int]]) -> list[Hunk]:
    """What lies before, between and behind the anchors."""
    parts, first, other_first = [], hunk.first, hunk.other_first
    for place, other_place in [*anchors, (hunk.end, hunk.other_end)]:
        parts.append(Hunk(first, place - first, other_first, other_place - other_first))
        first, other_first = place + 1, other_place + 1
    return parts

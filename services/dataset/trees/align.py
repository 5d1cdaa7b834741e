"""Aligning two sequences of digests: which ranges of one stand where which ranges of the other do.

As patience diff does (Bram Cohen): what is common at both ends is set aside, then what occurs once on both sides and
stands in the same order (the longest increasing run of it) divides the rest, until nothing divides any more. In time
n log n for n digests that are not common to both ends; the answer is always right, if not always the shortest.
"""

import bisect
import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.tree import DIGEST_BYTES

Numbers: TypeAlias = npt.NDArray[np.int64]
Ranges: TypeAlias = npt.NDArray[np.int64]
"""Hunks as rows of four numbers."""


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
    """Where two sequences differ, in order; between the hunks they are equal, one by one."""
    numbers: dict[bytes, int] = {}
    sides = [np.array([numbers.setdefault(item, len(numbers)) for item in side], np.int64) for side in (ours, theirs)]
    return align_numbers(*sides)


def align_digests(ours: bytes, theirs: bytes) -> list[Hunk]:
    """As ``align``, of digests of 32 bytes each that lie one after the other."""
    return align_numbers(*numbered(ours, theirs))


def numbered(*sequences: bytes) -> list[Numbers]:
    """The digests of each sequence as numbers, which are equal where the digests are."""
    lengths = [len(sequence) // DIGEST_BYTES for sequence in sequences]
    buffer = pa.py_buffer(b"".join(sequences))
    digests = pa.Array.from_buffers(pa.binary(DIGEST_BYTES), sum(lengths), [None, buffer])
    numbers = digests.dictionary_encode().indices.to_numpy().astype(np.int64)
    return np.split(numbers, np.cumsum(lengths)[:-1])


def align_numbers(ours: Numbers, theirs: Numbers) -> list[Hunk]:
    """As ``align``, of numbers."""
    found: list[Ranges] = []
    waiting = [Hunk(0, len(ours), 0, len(theirs))]
    while waiting:
        hunk = _trimmed(ours, theirs, waiting.pop())
        if hunk.count and hunk.other_count:
            apart, rest = _divided(ours, theirs, hunk)
            found.append(apart)
            waiting += rest
        elif hunk.count or hunk.other_count:
            found.append(ranges_of([hunk]))
    ranges = np.concatenate(found) if found else np.empty((0, 4), np.int64)
    return [Hunk(*each) for each in ranges[np.lexsort((ranges[:, 2], ranges[:, 0]))].tolist()]


def ranges_of(hunks: Sequence[Hunk]) -> Ranges:
    """The hunks as rows of numbers."""
    numbers = [(hunk.first, hunk.count, hunk.other_first, hunk.other_count) for hunk in hunks]
    return np.array(numbers, np.int64).reshape(-1, 4)


def _trimmed(ours: Numbers, theirs: Numbers, hunk: Hunk) -> Hunk:
    """Without what is equal at its ends."""
    our, their = _slices(ours, theirs, hunk)
    before = _common(our, their)
    behind = _common(our[before:][::-1], their[before:][::-1])
    return Hunk(
        hunk.first + before, hunk.count - before - behind, hunk.other_first + before, hunk.other_count - before - behind
    )


def _common(ours: Numbers, theirs: Numbers) -> int:
    """How many items both begin with."""
    shorter = min(len(ours), len(theirs))
    differ = ours[:shorter] != theirs[:shorter]
    return int(differ.argmax()) if differ.any() else shorter


def _divided(ours: Numbers, theirs: Numbers, hunk: Hunk) -> tuple[Ranges, list[Hunk]]:
    """What lies between the items that occur once on each side, in the same order: what has nothing in common, and the
    rest, which is to be divided again."""
    our, their = _slices(ours, theirs, hunk)
    (once, places), (other_once, other_places) = _once(our), _once(their)
    _, at, other_at = np.intersect1d(once, other_once, assume_unique=True, return_indices=True)
    if not len(at):
        return ranges_of([hunk]), []
    order = np.argsort(places[at])
    anchors = _longest_increasing(places[at][order], other_places[other_at][order])
    starts, other_starts = (np.concatenate([[0], side + 1]) for side in anchors)
    ends, other_ends = np.append(anchors[0], len(our)), np.append(anchors[1], len(their))
    gaps = np.stack([starts, ends - starts, other_starts, other_ends - other_starts], axis=1)
    shared = _sums(np.isin(our, their)), _sums(np.isin(their, our))
    is_apart = (shared[0][ends] == shared[0][starts]) | (shared[1][other_ends] == shared[1][other_starts])
    is_gap = (gaps[:, 1] > 0) | (gaps[:, 3] > 0)
    gaps[:, 0] += hunk.first
    gaps[:, 2] += hunk.other_first
    return gaps[is_gap & is_apart], [Hunk(*gap) for gap in gaps[is_gap & ~is_apart].tolist()]


def _sums(flags: npt.NDArray[np.bool_]) -> Numbers:
    """How many are set before each place."""
    return np.concatenate([[0], np.cumsum(flags)])


def _once(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """The numbers that occur once, and where."""
    unique, places, counts = np.unique(numbers, return_index=True, return_counts=True)
    return unique[counts == 1], places[counts == 1]


def _longest_increasing(places: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """The most of the pairs, whose places increase, whose values increase too."""
    if bool((np.diff(values) > 0).all()):
        return places, values
    ends: list[int] = []  # the least value that a run of each length ends with
    last: list[int] = []  # and the pair that it belongs to
    before: list[int] = []
    for number, value in enumerate(values.tolist()):
        length = bisect.bisect_left(ends, value)
        before.append(last[length - 1] if length else -1)
        if length == len(ends):
            ends.append(value)
            last.append(number)
        else:
            ends[length], last[length] = value, number
    run, number = [], last[-1]
    while number >= 0:
        run.append(number)
        number = before[number]
    return places[run[::-1]], values[run[::-1]]


def _slices(ours: Numbers, theirs: Numbers, hunk: Hunk) -> Sequence[Numbers]:
    return ours[hunk.first : hunk.end], theirs[hunk.other_first : hunk.other_end]

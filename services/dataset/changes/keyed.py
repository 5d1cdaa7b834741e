"""What differs by key: a row that went at one place and came at another with the same key has changed, or has moved."""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from headwater.tree import DIGEST_BYTES
from services.dataset.changes.side import Side
from services.dataset.trees.align import Hunk, Numbers, numbered, ranges_of

Digests: TypeAlias = npt.NDArray[np.uint8]
"""32 bytes each, one below the other."""

NONE = -1
"""Stands for the number of a row that is not there."""


@dataclasses.dataclass(frozen=True, slots=True)
class KeyedRows:
    """Rows of one side, ordered by their numbers."""

    numbers: Numbers
    places: Numbers
    """Where in the commit of the other side they would be."""
    digests: Digests
    keys: Digests

    @classmethod
    async def of(
        cls, side: Side, rows: "HunkRows", columns: Sequence[str], part: int = 0, parts: int = 1
    ) -> "KeyedRows":
        """The rows, or those of them whose keys fall into one of some equal parts of all keys."""
        keys = await side.keys_at(rows.numbers, columns)
        if parts > 1:
            wanted = np.flatnonzero(keys[:, :4].copy().view("<u4").ravel() % parts == part)
            rows, keys = HunkRows(rows.numbers[wanted], rows.places[wanted]), keys[wanted]
        return cls(rows.numbers, rows.places, await side.digests_at(rows.numbers), keys)


@dataclasses.dataclass(frozen=True, slots=True)
class HunkRows:
    """The rows of one side of hunks."""

    numbers: Numbers
    places: Numbers


@dataclasses.dataclass(frozen=True, slots=True)
class KeyChanges:
    """Rows that differ by key, in the order of the other commit's rows."""

    base_rows: Numbers
    """NONE where a row is new."""
    other_rows: Numbers
    """NONE where a row is gone."""
    places: Numbers
    """Where they are in the other commit, or would be."""
    base_places: Numbers
    """Where they are in the base, or would be."""
    base_digests: Digests
    other_digests: Digests
    keys: Digests

    def __len__(self) -> int:
        return len(self.places)

    def some(self, chosen: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> "KeyChanges":
        """Some of them."""
        return KeyChanges(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))

    def ordered(self) -> "KeyChanges":
        """The same by place, what is gone first."""
        return self.some(np.lexsort((self.other_rows, self.places)))

    @staticmethod
    def joined(parts: Sequence["KeyChanges"]) -> "KeyChanges":
        """Some and others."""
        fields = [field.name for field in dataclasses.fields(KeyChanges)]
        return KeyChanges(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def rows_of(hunks: Sequence[Hunk]) -> tuple[HunkRows, HunkRows]:
    """The rows that went, and those that came."""
    first, count, other_first, other_count = ranges_of(hunks).T
    at, other_at = _within(count), _within(other_count)
    gone = np.repeat(first, count) + at
    come = np.repeat(other_first, other_count) + other_at
    places = np.repeat(other_first, count) + np.minimum(at, np.repeat(other_count, count))
    other_places = np.repeat(first, other_count) + np.minimum(other_at, np.repeat(count, other_count))
    return HunkRows(gone, places), HunkRows(come, other_places)


def compare(gone: KeyedRows, come: KeyedRows) -> tuple[KeyChanges, tuple[Numbers, Numbers]]:
    """What differs; and the rows that are equal but have moved: their numbers before and after.

    Where several rows have one key, the first of them stands for the first, and so on.
    """
    ours, theirs = numbered(gone.keys.tobytes(), come.keys.tobytes())
    ours, theirs = _counted(ours, theirs)
    _, before, after = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    differ = (gone.digests[before] != come.digests[after]).any(axis=1)
    moved = gone.numbers[before[~differ]], come.numbers[after[~differ]]
    before, after = before[differ], after[differ]
    gone_only, come_only = np.flatnonzero(~np.isin(ours, theirs)), np.flatnonzero(~np.isin(theirs, ours))
    changed = KeyChanges(
        base_rows=gone.numbers[before],
        other_rows=come.numbers[after],
        places=come.numbers[after],
        base_places=gone.numbers[before],
        base_digests=gone.digests[before],
        other_digests=come.digests[after],
        keys=gone.keys[before],
    )
    removed = KeyChanges(
        base_rows=gone.numbers[gone_only],
        other_rows=np.full(len(gone_only), NONE),
        places=gone.places[gone_only],
        base_places=gone.numbers[gone_only],
        base_digests=gone.digests[gone_only],
        other_digests=np.zeros((len(gone_only), DIGEST_BYTES), np.uint8),
        keys=gone.keys[gone_only],
    )
    added = KeyChanges(
        base_rows=np.full(len(come_only), NONE),
        other_rows=come.numbers[come_only],
        places=come.numbers[come_only],
        base_places=come.places[come_only],
        base_digests=np.zeros((len(come_only), DIGEST_BYTES), np.uint8),
        other_digests=come.digests[come_only],
        keys=come.keys[come_only],
    )
    return KeyChanges.joined([changed, removed, added]).ordered(), moved


def _within(counts: Numbers) -> Numbers:
    """0, 1, … up to each of the counts, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - counts, counts)


def _counted(ours: Numbers, theirs: Numbers) -> tuple[Numbers, Numbers]:
    """Numbers of keys, made different where a key comes again on one side."""
    again = [_again(side) for side in (ours, theirs)]
    most = max((int(side.max()) for side in again if len(side)), default=0) + 1
    return ours * most + again[0], theirs * most + again[1]


def _again(numbers: Numbers) -> Numbers:
    """How often each has come before."""
    order = np.argsort(numbers, kind="stable")
    _, counts = np.unique(numbers, return_counts=True)
    found = np.empty(len(numbers), np.int64)
    found[order] = _within(counts)
    return found

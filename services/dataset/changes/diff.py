"""What differs between two commits, row by row, in memory that what differs does not fill."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from headwater.tree import DIGEST_BYTES
from services.dataset.changes.hunks import row_hunks
from services.dataset.changes.keyed import NONE, HunkRows, KeyChanges, KeyedRows, compare, rows_of
from services.dataset.changes.model import ChangeKind, RowChange, SplitDiff
from services.dataset.changes.side import Side
from services.dataset.store import Store
from services.dataset.trees.align import Hunk

_LISTED_AT_ONCE = 1000
_COMPARED_AT_ONCE = 1 << 19
"""Rows of each side; where more differ, those of one part of all keys after the other are compared."""


class SplitDiffer:
    """Compares one split of two commits; an absent one counts as empty."""

    def __init__(self, store: Store, name: str, base: Side | None, target: Side | None, keys: Sequence[str]) -> None:
        self._store = store
        self._name = name
        self._base = base
        self._target = target
        self._keys = keys
        self.sums = SplitDiff(name, 0, 0, 0)
        """How many rows differ, when ``changes`` has ended."""

    async def changes(self, max_rows: int) -> AsyncIterator[list[RowChange]]:
        """The first ``max_rows`` changed rows, some at a time; read it to the end."""
        if self._keys and self._base and self._target:
            found = self._by_key(self._base, self._target, max_rows)
        else:
            found = self._by_place(max_rows)
        async for changes in found:
            yield changes

    async def _by_place(self, room: int) -> AsyncIterator[list[RowChange]]:
        added = removed = 0
        async for hunk in row_hunks(self._store, self._base, self._target):
            added, removed = added + hunk.other_count, removed + hunk.count
            async for changes in self._listed(hunk, room):
                room -= len(changes)
                yield changes
        self.sums = SplitDiff(self._name, added, removed, 0)

    async def _listed(self, hunk: Hunk, room: int) -> AsyncIterator[list[RowChange]]:
        for side, first, count in (
            (self._base, hunk.first, hunk.count),
            (self._target, hunk.other_first, hunk.other_count),
        ):
            if side is None:
                continue
            end = first + min(count, room)
            room -= end - first
            for start in range(first, end, _LISTED_AT_ONCE):
                digests = await side.digests(start, min(_LISTED_AT_ONCE, end - start))
                rows = enumerate(_pieces(digests), start)
                if side is self._base:
                    yield [
                        RowChange(ChangeKind.REMOVED, self._name, row, None, digest, b"", "") for row, digest in rows
                    ]
                else:
                    yield [RowChange(ChangeKind.ADDED, self._name, None, row, b"", digest, "") for row, digest in rows]

    async def _by_key(self, base: Side, target: Side, max_rows: int) -> AsyncIterator[list[RowChange]]:
        hunks = [hunk async for hunk in row_hunks(self._store, base, target)]
        gone, come = await asyncio.to_thread(rows_of, hunks)
        parts = -(-max(len(gone.numbers), len(come.numbers)) // _COMPARED_AT_ONCE)
        kept: list[KeyChanges] = []
        for part in range(parts):
            changes = await self._compared(base, target, gone, come, part, parts)
            both = int(((changes.base_rows != NONE) & (changes.other_rows != NONE)).sum())
            added = int((changes.base_rows == NONE).sum())
            self.sums = SplitDiff(
                self._name,
                self.sums.added + added,
                self.sums.removed + len(changes) - added - both,
                self.sums.changed + both,
            )
            kept = [KeyChanges.joined([*kept, changes]).ordered().some(slice(max_rows))]
        for changes in kept:
            for start in range(0, len(changes), _LISTED_AT_ONCE):
                yield await self._told(base, target, changes.some(slice(start, start + _LISTED_AT_ONCE)))

    async def _compared(
        self, base: Side, target: Side, gone: HunkRows, come: HunkRows, part: int, parts: int
    ) -> KeyChanges:
        before = await KeyedRows.of(base, gone, self._keys, part, parts)
        after = await KeyedRows.of(target, come, self._keys, part, parts)
        return (await asyncio.to_thread(compare, before, after))[0]

    async def _told(self, base: Side, target: Side, changes: KeyChanges) -> list[RowChange]:
        gone = changes.other_rows == NONE
        keys = np.empty(len(changes), object)
        keys[gone] = await base.values_at(changes.base_rows[gone], self._keys)
        keys[~gone] = await target.values_at(changes.other_rows[~gone], self._keys)
        told = []
        for number, (before, after, key) in enumerate(
            zip(changes.base_rows.tolist(), changes.other_rows.tolist(), keys, strict=True)
        ):
            kind = ChangeKind.ADDED if before == NONE else ChangeKind.REMOVED if after == NONE else ChangeKind.CHANGED
            told.append(
                RowChange(
                    kind,
                    self._name,
                    None if before == NONE else before,
                    None if after == NONE else after,
                    b"" if before == NONE else changes.base_digests[number].tobytes(),
                    b"" if after == NONE else changes.other_digests[number].tobytes(),
                    key,
                )
            )
        return told


def _pieces(digests: bytes) -> list[bytes]:
    return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]

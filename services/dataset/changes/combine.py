"""Combining the splits of two commits that come from one base."""

import asyncio
import bisect
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from headwater import tree
from headwater.tree import DIGEST_BYTES
from services.dataset.changes.errors import MergeTooLarge
from services.dataset.changes.hunks import row_hunks
from services.dataset.changes.keyed import NONE, KeyChanges, KeyedRows, compare, rows_of
from services.dataset.changes.keymerge import merge_by_key
from services.dataset.changes.merge import merge
from services.dataset.changes.model import Clash, Conflict, Edit
from services.dataset.changes.side import Side
from services.dataset.datasets import read_schema
from services.dataset.model import Split
from services.dataset.store import Store
from services.dataset.trees.align import Hunk, Numbers

MAX_ROWS = 1 << 20
"""Rows that one side may have changed, where each of them has to be looked at."""

Splits = Mapping[str, Split]


@dataclasses.dataclass(frozen=True, slots=True)
class Combined:
    """What a split becomes: one of the sides' as it is, nothing, or ours with some rows of theirs."""

    split: Split | None
    edits: tuple[Edit, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    conflict_count: int = 0


def choose(name: str, base: Splits, ours: Splits, theirs: Splits) -> Combined | None:
    """What can be decided without looking at rows; None: both sides changed the split's rows."""
    before, our, their = base.get(name), ours.get(name), theirs.get(name)
    if _same(our, their) or _same(before, their):
        return Combined(our)
    if _same(before, our):
        return Combined(their)
    if our is None or their is None:
        return refused(our or their, "One side removed the split, the other one changed it.")
    if _columns(our) != _columns(their):
        return refused(our, "Both sides changed the split, and its columns differ between them.")
    return None


def refused(split: Split | None, detail: str) -> Combined:
    """What stands against it is not a row."""
    name = split.name if split else ""
    return Combined(split, conflicts=(Conflict(name, 0, detail=detail),), conflict_count=1)


class RowMerge:
    """Merges the rows of one split that both sides changed."""

    def __init__(self, store: Store, base: Side | None, ours: Side, theirs: Side, keys: Sequence[str]) -> None:
        self._store = store
        self._base = base
        self._ours = ours
        self._theirs = theirs
        self._keys = keys

    async def merge(self, max_conflicts: int) -> Combined:
        """What to do to our rows, or the first conflicts and how many there are.

        Raises:
            MergeTooLarge
        """
        ours, theirs = await self._hunks(self._ours), await self._hunks(self._theirs)
        if self._keys and (self._base is None or _columns(self._base.split) == _columns(self._ours.split)):
            return await self._by_key(ours, theirs, max_conflicts)
        return await self._by_place(ours, theirs, max_conflicts)

    async def _by_place(self, ours: Sequence[Hunk], theirs: Sequence[Hunk], max_conflicts: int) -> Combined:
        ours, theirs = _row_by_row(ours, theirs), _row_by_row(theirs, ours)
        both = {_extent(hunk) for hunk in ours} & {_extent(hunk) for hunk in theirs}
        our_contents = await _contents(self._ours, [hunk for hunk in ours if _extent(hunk) in both])
        their_contents = await _contents(self._theirs, [hunk for hunk in theirs if _extent(hunk) in both])
        contents = our_contents.__getitem__, their_contents.__getitem__
        edits, clashes = await asyncio.to_thread(merge, ours, theirs, *contents)
        if not clashes:
            return Combined(self._ours.split, tuple(_joined(edits)))
        rows = [(clash, row) for clash in clashes for row in _rows(clash)]
        conflicts = [await self._conflict(clash, row) for clash, row in rows[:max_conflicts]]
        return Combined(self._ours.split, conflicts=tuple(conflicts), conflict_count=len(rows))

    async def _by_key(self, ours: list[Hunk], theirs: list[Hunk], max_conflicts: int) -> Combined:
        our_changes, moved = await self._compared(self._ours, ours)
        their_changes, _ = await self._compared(self._theirs, theirs)
        edits, our_part, their_part = await asyncio.to_thread(merge_by_key, our_changes, moved, ours, their_changes)
        if not len(our_part):
            return Combined(self._ours.split, tuple(_joined(edits)))
        first = slice(max_conflicts)
        conflicts = await self._key_conflicts(our_part.some(first), their_part.some(first))
        return Combined(self._ours.split, conflicts=tuple(conflicts), conflict_count=len(our_part))

    async def _hunks(self, side: Side) -> list[Hunk]:
        hunks = []
        async for hunk in row_hunks(self._store, self._base, side):
            hunks.append(hunk)
            if len(hunks) > MAX_ROWS:
                raise MergeTooLarge(split=side.split.name, limit_rows=MAX_ROWS)
        return hunks

    async def _compared(self, side: Side, hunks: list[Hunk]) -> tuple[KeyChanges, tuple[Numbers, Numbers]]:
        if max(sum(hunk.count for hunk in hunks), sum(hunk.other_count for hunk in hunks)) > MAX_ROWS:
            raise MergeTooLarge(split=side.split.name, limit_rows=MAX_ROWS)
        gone, come = rows_of(hunks)
        # Without a base, nothing went.
        before = await KeyedRows.of(self._base or side, gone, self._keys)
        return await asyncio.to_thread(compare, before, await KeyedRows.of(side, come, self._keys))

    async def _key_conflicts(self, ours: KeyChanges, theirs: KeyChanges) -> list[Conflict]:
        found = []
        for at in range(len(ours)):
            side, row = (
                (self._ours, ours.other_rows[at]) if ours.other_rows[at] != NONE else (self._base, ours.base_rows[at])
            )
            assert side is not None
            (key,) = await side.values_at(np.array([row]), self._keys)
            found.append(
                Conflict(
                    self._ours.split.name,
                    int(ours.base_places[at]),
                    key,
                    _digest_of(ours.base_rows[at], ours.base_digests[at].tobytes()),
                    _digest_of(ours.other_rows[at], ours.other_digests[at].tobytes()),
                    _digest_of(theirs.other_rows[at], theirs.other_digests[at].tobytes()),
                )
            )
        return found

    async def _conflict(self, clash: Clash, row: int) -> Conflict:
        is_row = bool(clash.ours.count and clash.theirs.count)
        return Conflict(
            self._ours.split.name,
            row,
            "",
            await _digest(self._base, row if is_row else None),
            await _digest(self._ours, _counterpart(clash.ours, row)),
            await _digest(self._theirs, _counterpart(clash.theirs, row)),
        )


async def _contents(side: Side, hunks: Sequence[Hunk]) -> dict[Hunk, object]:
    """Of each hunk the digests of its rows; of one that is too large, something like no other."""
    return {
        hunk: await side.digests(hunk.other_first, hunk.other_count) if hunk.other_count <= MAX_ROWS else object()
        for hunk in hunks
    }


def _extent(hunk: Hunk) -> tuple[int, int, int]:
    return hunk.first, hunk.count, hunk.other_count


def _row_by_row(hunks: Sequence[Hunk], others: Sequence[Hunk]) -> list[Hunk]:
    """The hunks, those in which as many rows came as went taken to be rows that changed, each by itself: unless the
    others put rows in between, for which it would have to be known what stands where."""
    put_in = [other.first for other in others if not other.count]
    parts: list[Hunk] = []
    for hunk in hunks:
        is_whole = bisect.bisect_right(put_in, hunk.first) < bisect.bisect_left(put_in, hunk.end)
        if 1 < hunk.count == hunk.other_count and not is_whole and len(parts) + hunk.count <= MAX_ROWS:
            parts += [Hunk(hunk.first + at, 1, hunk.other_first + at, 1) for at in range(hunk.count)]
        else:
            parts.append(hunk)
    return parts


def _joined(edits: Sequence[Edit]) -> list[Edit]:
    """Edits that follow one another on both sides, as one."""
    joined: list[Edit] = []
    for edit in edits:
        last = joined[-1] if joined else None
        if last is not None and last.first + last.count == edit.first and _goes_on(last, edit):
            first = last.theirs_first if last.theirs_count else edit.theirs_first
            joined[-1] = Edit(last.first, last.count + edit.count, first, last.theirs_count + edit.theirs_count)
        else:
            joined.append(edit)
    return joined


def _goes_on(last: Edit, edit: Edit) -> bool:
    """Whether the rows that come with ``edit`` follow those that come with ``last``."""
    return not (last.theirs_count and edit.theirs_count) or last.theirs_first + last.theirs_count == edit.theirs_first


def _rows(clash: Clash) -> Sequence[int]:
    """The rows of the base that both changed; where rows were put in, the one before which they were."""
    first = max(clash.ours.first, clash.theirs.first)
    return range(first, min(clash.ours.end, clash.theirs.end)) or (first,)


def _counterpart(hunk: Hunk, row: int) -> int | None:
    """The row of the other side that stands for ``row`` of the base; None when there is none."""
    at = row - hunk.first
    return hunk.other_first + at if at < hunk.other_count else None


async def _digest(side: Side | None, row: int | None) -> bytes:
    return await side.digests(row, 1) if side is not None and row is not None else b""


def _digest_of(row: int, digest: bytes) -> bytes:
    assert len(digest) == DIGEST_BYTES
    return digest if row != NONE else b""


def _same(one: Split | None, other: Split | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.tree.root, _columns(one)) == (other.tree.root, _columns(other))


def _columns(split: Split) -> bytes:
    return tree.schema_digest(read_schema(split))

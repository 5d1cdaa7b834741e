"""Combining the splits of two commits that come from one base."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater import tree
from services.dataset.changes.diff import key_json
from services.dataset.changes.hunks import MAX_ALIGNED_ROWS, by_key, row_hunks
from services.dataset.changes.merge import merge
from services.dataset.changes.model import Clash, Conflict, Edit
from services.dataset.changes.side import Side
from services.dataset.datasets import read_schema
from services.dataset.model import Split
from services.dataset.trees.align import Hunk

Splits = Mapping[str, Split]


@dataclasses.dataclass(frozen=True, slots=True)
class Combined:
    """What a split becomes: one of the sides' as it is, nothing, or ours with some rows of theirs."""

    split: Split | None
    edits: tuple[Edit, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def choose(name: str, base: Splits, ours: Splits, theirs: Splits) -> Combined | None:
    """What can be decided without looking at rows; None: both sides changed the split's rows."""
    before, our, their = base.get(name), ours.get(name), theirs.get(name)
    if _same(our, their) or _same(before, their):
        return Combined(our)
    if _same(before, our):
        return Combined(their)
    if our is None or their is None:
        return Combined(our or their, conflicts=(Conflict(name, 0, detail="One side removed the split."),))
    if _columns(our) != _columns(their):
        detail = "Both sides changed the split, and its columns differ between them."
        return Combined(our, conflicts=(Conflict(name, 0, detail=detail),))
    return None


class RowMerge:
    """Merges the rows of one split that both sides changed."""

    def __init__(self, base: Side, ours: Side, theirs: Side, keys: Sequence[str]) -> None:
        self._base = base
        self._ours = ours
        self._theirs = theirs
        self._keys = keys

    async def merge(self, max_conflicts: int) -> tuple[Combined, int]:
        """What to do to our rows, or the first conflicts and how many there are."""
        ours, theirs = await self._hunks(self._ours), await self._hunks(self._theirs)
        our_contents = await _contents(self._ours, ours)
        their_contents = await _contents(self._theirs, theirs)
        keyed = bool(self._keys)
        edits, clashes = merge(ours, theirs, our_contents.__getitem__, their_contents.__getitem__, keyed=keyed)
        if keyed:
            edits, doubled = await self._without_doubles(ours, edits)
            clashes += doubled
        if clashes:
            conflicts = [await self._conflict(clash) for clash in clashes[:max_conflicts]]
            return Combined(self._ours.split, conflicts=tuple(conflicts)), len(clashes)
        return Combined(self._ours.split, edits=tuple(_joined(edits))), 0

    async def _hunks(self, side: Side) -> list[Hunk]:
        hunks = await row_hunks(self._base, side)
        if not self._keys:
            return hunks
        parts = await by_key(hunks, self._base, side, self._keys)
        return [single for part in parts for single in _singles(part)]

    async def _without_doubles(self, ours: Sequence[Hunk], edits: Sequence[Edit]) -> tuple[list[Edit], list[Clash]]:
        """Leave out rows that we have put in, too; another row with the same key clashes."""
        put_in: dict[bytes, tuple[bytes, Hunk]] = {}
        for hunk in ours:
            if not hunk.count:
                keys = await self._ours.keys(hunk.other_first, hunk.other_count, self._keys)
                digests = await self._ours.digests(hunk.other_first, hunk.other_count)
                put_in |= {key: (digest, hunk) for key, digest in zip(keys, digests, strict=True)}
        keys_of: dict[int, bytes] = {}
        for edit in _joined([edit for edit in edits if not edit.count]):
            keys = await self._theirs.keys(edit.theirs_first, edit.theirs_count, self._keys)
            keys_of |= dict(enumerate(keys, edit.theirs_first))
        kept: list[Edit] = []
        clashes: list[Clash] = []
        for edit in edits:
            known = None if edit.count else put_in.get(keys_of[edit.theirs_first])
            if known is None:
                kept.append(edit)
                continue
            digest, hunk = known
            if (await self._theirs.digests(edit.theirs_first, 1))[0] != digest:
                clashes.append(Clash(hunk, Hunk(hunk.first, 0, edit.theirs_first, edit.theirs_count)))
        return kept, clashes

    async def _conflict(self, clash: Clash) -> Conflict:
        ours, theirs = clash.ours, clash.theirs
        row = max(ours.first, theirs.first)
        return Conflict(
            self._ours.split.name,
            row,
            await self._key(row, ours, theirs),
            await _digest(self._base, row if ours.count and theirs.count else None),
            await _digest(self._ours, _counterpart(ours, row)),
            await _digest(self._theirs, _counterpart(theirs, row)),
        )

    async def _key(self, row: int, ours: Hunk, theirs: Hunk) -> str:
        if ours.count and theirs.count:
            return await key_json(self._base, row, self._keys)
        place = _counterpart(ours, row)
        return await key_json(self._ours, place, self._keys) if place is not None else ""


async def _contents(side: Side, hunks: Sequence[Hunk]) -> dict[Hunk, object]:
    """Of each hunk the digests of its rows; of one that is too large, something like no other."""
    return {
        hunk: tuple(await side.digests(hunk.other_first, hunk.other_count))
        if hunk.other_count <= MAX_ALIGNED_ROWS
        else object()
        for hunk in hunks
    }


def _singles(hunk: Hunk) -> list[Hunk]:
    if hunk.count or hunk.other_count <= 1:
        return [hunk]
    return [Hunk(hunk.first, 0, hunk.other_first + at, 1) for at in range(hunk.other_count)]


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


def _counterpart(hunk: Hunk, row: int) -> int | None:
    """The row of the other side that stands for ``row`` of the base; None when there is none."""
    at = row - hunk.first
    return hunk.other_first + at if at < hunk.other_count else None


async def _digest(side: Side, row: int | None) -> bytes:
    return (await side.digests(row, 1))[0] if row is not None else b""


def _same(one: Split | None, other: Split | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.tree.root, _columns(one)) == (other.tree.root, _columns(other))


def _columns(split: Split) -> bytes:
    return tree.schema_digest(read_schema(split))

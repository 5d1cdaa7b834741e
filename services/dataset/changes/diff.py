"""What differs between two commits, row by row."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from headwater import tree
from services.dataset.changes.hunks import MAX_ALIGNED_ROWS, row_hunks
from services.dataset.changes.model import ChangeKind, Diff, RowChange, SplitDiff
from services.dataset.changes.side import Side
from services.dataset.datasets import read_schema
from services.dataset.model import Split
from services.dataset.trees.align import Hunk


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    number: int
    digest: bytes


class SplitDiffer:
    """Compares one split of two commits; an absent one counts as empty."""

    def __init__(self, name: str, base: Side | None, target: Side | None, keys: Sequence[str]) -> None:
        self._name = name
        self._base = base
        self._target = target
        self._keys = keys

    async def diff(self, max_rows: int) -> tuple[list[RowChange], SplitDiff]:
        """The first ``max_rows`` changed rows, and how many there are of each kind."""
        hunks = await self._hunks()
        if self._keys and self._base and self._target and sum(hunk.count for hunk in hunks) <= MAX_ALIGNED_ROWS:
            return await self._by_key(self._base, self._target, hunks, max_rows)
        removed, added = sum(hunk.count for hunk in hunks), sum(hunk.other_count for hunk in hunks)
        changes: list[RowChange] = []
        for hunk in hunks:
            room = max_rows - len(changes)
            changes += await self._listed(hunk, room)
        return changes[:max_rows], SplitDiff(self._name, added, removed, 0)

    async def _hunks(self) -> list[Hunk]:
        base, target = self._base, self._target
        if base and target and _schema(base.split) == _schema(target.split):
            return await row_hunks(base, target)
        counts = [side.row_count if side else 0 for side in (base, target)]
        return [Hunk(0, counts[0], 0, counts[1])] if any(counts) else []

    async def _listed(self, hunk: Hunk, room: int) -> list[RowChange]:
        changes = []
        if self._base:
            digests = await self._base.digests(hunk.first, min(room, hunk.count))
            changes += [self._removed(_Row(hunk.first + at, digest)) for at, digest in enumerate(digests)]
        if self._target:
            digests = await self._target.digests(hunk.other_first, min(room - len(changes), hunk.other_count))
            changes += [self._added(_Row(hunk.other_first + at, digest)) for at, digest in enumerate(digests)]
        return changes

    async def _by_key(
        self, base: Side, target: Side, hunks: Sequence[Hunk], max_rows: int
    ) -> tuple[list[RowChange], SplitDiff]:
        """A row that went at one place and came at another with the same key has changed, or has only moved."""
        gone = await _rows_by_key(base, [(hunk.first, hunk.count) for hunk in hunks], self._keys)
        come = await _rows_by_key(target, [(hunk.other_first, hunk.other_count) for hunk in hunks], self._keys)
        changes = [self._removed(row) for key, row in gone.items() if key not in come]
        changes += [self._added(row) for key, row in come.items() if key not in gone]
        counts = len(changes)
        for key, row in come.items():
            before = gone.get(key)
            if before is not None and before.digest != row.digest:
                changes.append(
                    RowChange(ChangeKind.CHANGED, self._name, before.number, row.number, before.digest, row.digest, "")
                )
        changed, removed = len(changes) - counts, len(gone.keys() - come.keys())
        changes.sort(key=lambda change: (change.base_row if change.target_row is None else change.target_row) or 0)
        listed = [await self._with_key(change) for change in changes[:max_rows]]
        return listed, SplitDiff(self._name, counts - removed, removed, changed)

    async def _with_key(self, change: RowChange) -> RowChange:
        side, row = (self._base, change.base_row) if change.target_row is None else (self._target, change.target_row)
        assert side is not None
        assert row is not None
        return dataclasses.replace(change, key_json=await key_json(side, row, self._keys))

    def _removed(self, row: _Row) -> RowChange:
        return RowChange(ChangeKind.REMOVED, self._name, row.number, None, row.digest, b"", "")

    def _added(self, row: _Row) -> RowChange:
        return RowChange(ChangeKind.ADDED, self._name, None, row.number, b"", row.digest, "")


async def key_json(side: Side, row: int, columns: Sequence[str]) -> str:
    """The key of a row as a JSON array; what JSON has no type for is its text."""
    if not columns:
        return ""
    values = (await side.rows(row, 1, columns)).to_pylist()[0]
    return json.dumps([values[column] for column in columns], default=str, ensure_ascii=False)


def gathered(parts: Sequence[tuple[list[RowChange], SplitDiff]], max_rows: int) -> Diff:
    """The differences of all splits as one answer."""
    changes = [change for listed, _ in parts for change in listed][:max_rows]
    count = sum(sums.added + sums.removed + sums.changed for _, sums in parts)
    return Diff(changes, [sums for _, sums in parts], count > len(changes))


def named(splits: Sequence[Split]) -> Mapping[str, Split]:
    """The splits by name."""
    return {split.name: split for split in splits}


async def _rows_by_key(side: Side, ranges: Sequence[tuple[int, int]], columns: Sequence[str]) -> dict[bytes, _Row]:
    rows: dict[bytes, _Row] = {}
    for first, count in ranges:
        digests, keys = await side.digests(first, count), await side.keys(first, count, columns)
        for at, (digest, key) in enumerate(zip(digests, keys, strict=True)):
            rows[key] = _Row(first + at, digest)
    return rows


def _schema(split: Split) -> bytes:
    return tree.schema_digest(read_schema(split))

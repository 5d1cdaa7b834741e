"""Changing rows of an upload, by their place or by their key."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from chassis.blobs import Blobs
from headwater import tree
from headwater.names import DatasetName, UploadName
from services.dataset.changes.errors import (
    ColumnsDiffer,
    KeyIsNull,
    KeyNotFound,
    KeyNotUnique,
    NoKeyColumns,
    NotInherited,
    SplitNotInUpload,
    TooManyKeys,
)
from services.dataset.changes.side import Side, key_digests
from services.dataset.changes.splice import Replacement
from services.dataset.changes.write import SplitChanges
from services.dataset.datasets import read_schema
from services.dataset.model import Upload
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.put import PutResult
from services.dataset.rows.writer import PutLimits, Run
from services.dataset.store import Store
from services.dataset.uploads import open_upload, splits_of

MAX_KEYS = 1 << 20
"""Rows in one stream of an upsert."""
_MAX_BYTES = 512 << 20
_SCAN_ROWS = 1 << 17


@dataclasses.dataclass(frozen=True, slots=True)
class _Begun:
    """What a change begins with."""

    upload: Upload
    side: Side
    keys: tuple[str, ...]


class Edits:
    """Changes rows of splits that an upload has or inherits. For threads other than the event loop's."""

    def __init__(self, store: Store, blobs: Blobs, packs: MappedPacks, limits: PutLimits) -> None:
        self._store = store
        self._blobs = blobs
        self._packs = packs
        self._limits = limits

    def edit(
        self,
        name: UploadName,
        split: str,
        first: int,
        count: int,
        schema: pa.Schema,
        rows: Iterable[pa.RecordBatch],
        run: Run[Any],
    ) -> PutResult:
        """Replace rows by place.

        Raises:
            UploadNotFound, UploadNotOpen, NotInherited, SplitNotInUpload, ColumnsDiffer, RowOutOfRange
        """
        begun = run(self._begin(name, split))
        _check_columns(schema, read_schema(begun.side.split))
        return self._changes(begun, run).replace(begun.side, [Replacement(first, count, rows)])

    def upsert(
        self, name: UploadName, split: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch], run: Run[Any]
    ) -> PutResult:
        """Replace the rows whose keys come, and add those whose keys are new at the end.

        Raises:
            NoKeyColumns, KeyIsNull, KeyNotUnique, TooManyKeys, and what ``edit`` does.
        """
        begun = run(self._begin(name, split))
        _check_columns(schema, read_schema(begun.side.split))
        table, wanted = _keyed(schema, rows, begun.keys)
        places = run(_find(begun.side, begun.keys, wanted))
        replacements = [
            Replacement(place, 1, table.slice(wanted[key], 1).to_batches()) for key, place in _by_place(places)
        ]
        added = [number for key, number in wanted.items() if key not in places]
        if added:
            replacements.append(Replacement(begun.side.row_count, 0, table.take(pa.array(added)).to_batches()))
        return self._changes(begun, run).replace(begun.side, replacements)

    def delete(
        self, name: UploadName, split: str, schema: pa.Schema, keys: Iterable[pa.RecordBatch], run: Run[Any]
    ) -> PutResult:
        """Remove the rows whose keys come.

        Raises:
            KeyNotFound: and no row is removed. And what ``upsert`` does.
        """
        begun = run(self._begin(name, split))
        stored = read_schema(begun.side.split)
        _check_columns(schema, pa.schema([stored.field(column) for column in begun.keys]))
        _, wanted = _keyed(schema, keys, begun.keys)
        places = run(_find(begun.side, begun.keys, wanted))
        if len(places) < len(wanted):
            raise KeyNotFound(rows=len(wanted) - len(places), split=split)
        return self._changes(begun, run).replace(
            begun.side, [Replacement(place, 1, ()) for _, place in _by_place(places)]
        )

    async def _begin(self, name: UploadName, split: str) -> _Begun:
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(name))
            if not upload.target.inherit:
                raise NotInherited(upload=name)
            for found in await splits_of(tx, upload):
                if found.name == split:
                    dataset = await tx.get_dataset(DatasetName(name.project, name.dataset))
                    return _Begun(upload, await Side.of(tx, found, self._packs), tuple(dataset.key_columns))
        raise SplitNotInUpload(upload=name, split=split)

    def _changes(self, begun: _Begun, run: Run[Any]) -> SplitChanges:
        return SplitChanges(self._store, self._blobs, begun.upload.uid, self._limits, run)


def _check_columns(given: pa.Schema, stored: pa.Schema) -> None:
    if tree.schema_digest(given) != tree.schema_digest(stored):
        raise ColumnsDiffer(columns=", ".join(stored.names), given=", ".join(given.names))


def _keyed(
    schema: pa.Schema, rows: Iterable[pa.RecordBatch], columns: Sequence[str]
) -> tuple[pa.Table, dict[bytes, int]]:
    """All rows, and the number of each by the digest of its key."""
    if not columns:
        raise NoKeyColumns
    batches, count, size = [], 0, 0
    for batch in rows:
        count, size = count + batch.num_rows, size + batch.nbytes
        if count > MAX_KEYS or size > _MAX_BYTES:
            raise TooManyKeys(limit_rows=MAX_KEYS, limit_bytes=_MAX_BYTES)
        batches.append(batch)
    table = pa.Table.from_batches(batches, schema)
    keys = table.select(list(columns))
    for column in columns:
        if keys.column(column).null_count:
            raise KeyIsNull(column=column)
    numbers = {key: number for number, key in enumerate(key_digests(keys))}
    if len(numbers) < table.num_rows:
        raise KeyNotUnique(rows=table.num_rows - len(numbers))
    return table, numbers


async def _find(side: Side, columns: Sequence[str], wanted: Mapping[bytes, int]) -> dict[bytes, int]:
    """Where the rows with these keys are; only the key columns are read."""
    places: dict[bytes, int] = {}
    for first in range(0, side.row_count, _SCAN_ROWS):
        keys = await side.keys(first, min(_SCAN_ROWS, side.row_count - first), columns)
        for at, key in enumerate(keys):
            if key in wanted:
                if key in places:
                    raise KeyNotUnique(row=places[key], other_row=first + at)
                places[key] = first + at
    return places


def _by_place(places: Mapping[bytes, int]) -> list[tuple[bytes, int]]:
    return sorted(places.items(), key=lambda item: item[1])

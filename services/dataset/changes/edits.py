"""Changing rows of an upload, by their place or by their key."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from chassis.blobs import Blobs
from headwater import tree
from headwater.names import DatasetName, UploadName
from services.dataset.changes.errors import (
    ColumnsDiffer,
    KeyNotFound,
    NoKeyColumns,
    NotInherited,
    SplitChanged,
    SplitNotInUpload,
)
from services.dataset.changes.keys import KeyedTable, find
from services.dataset.changes.side import Side
from services.dataset.changes.splice import Replacement
from services.dataset.changes.write import SplitWriter, Written
from services.dataset.errors import ColumnNotFound
from services.dataset.model import Split, Upload
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.put import PutResult
from services.dataset.rows.writer import PutLimits, Run
from services.dataset.store import Store, Transaction
from services.dataset.uploads import open_upload, splits_of

_PIECE_BYTES = 8 << 20


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
            SplitChanged: somebody else has changed the split meanwhile, and this change has come to nothing.
        """
        begun = run(self._begin(name, split))
        _check_columns(schema, begun.side.schema)
        return self._replace(begun, [Replacement(first, count, _pieces(rows))], run)

    def upsert(
        self, name: UploadName, split: str, schema: pa.Schema, rows: Iterable[pa.RecordBatch], run: Run[Any]
    ) -> PutResult:
        """Replace the rows whose keys come, and add those whose keys are new at the end.

        Raises:
            NoKeyColumns, KeyTypeUnsupported, KeyIsNull, KeyNotUnique, TooManyKeys, and what ``edit`` does.
        """
        begun = run(self._begin(name, split))
        _check_columns(schema, begun.side.schema)
        wanted = KeyedTable.of(schema, rows, self._keys(begun))
        places = run(find(self._store, begun.side, wanted))
        replacements = [
            Replacement(row, 1, wanted.rows.slice(wanted.numbers[key], 1).to_batches()) for key, row in _by_row(places)
        ]
        if added := [number for key, number in wanted.numbers.items() if key not in places]:
            new = wanted.rows.take(pa.array(added))
            replacements.append(Replacement(begun.side.row_count, 0, _pieces(new.to_batches())))
        return self._replace(begun, replacements, run)

    def delete(
        self, name: UploadName, split: str, schema: pa.Schema, keys: Iterable[pa.RecordBatch], run: Run[Any]
    ) -> PutResult:
        """Remove the rows whose keys come.

        Raises:
            KeyNotFound: and no row is removed. And what ``upsert`` does.
        """
        begun = run(self._begin(name, split))
        columns = self._keys(begun)
        _check_columns(schema, pa.schema([begun.side.schema.field(column) for column in columns]))
        wanted = KeyedTable.of(schema, keys, columns)
        places = run(find(self._store, begun.side, wanted))
        if len(places) < len(wanted.numbers):
            raise KeyNotFound(rows=len(wanted.numbers) - len(places), split=split)
        return self._replace(begun, [Replacement(row, 1, ()) for _, row in _by_row(places)], run)

    async def _begin(self, name: UploadName, split: str) -> _Begun:
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(name))
            await tx.touch_upload(upload.uid, self._limits.upload_ttl_s)
            found = await _split_of(tx, upload, split)
            dataset = await tx.get_dataset(DatasetName(name.project, name.dataset))
        return _Begun(upload, Side(found, self._store, self._packs), tuple(dataset.key_columns))

    @staticmethod
    def _keys(begun: _Begun) -> tuple[str, ...]:
        if not begun.keys:
            raise NoKeyColumns(dataset=begun.upload.dataset)
        for column in begun.keys:
            if column not in begun.side.schema.names:
                raise ColumnNotFound(column=column)
        return begun.keys

    def _replace(self, begun: _Begun, replacements: Iterable[Replacement], run: Run[Any]) -> PutResult:
        writer = SplitWriter(self._store, self._blobs, begun.upload.uid, self._limits, run)
        written = writer.replace(begun.side, replacements)
        split = run(self._record(begun, written))
        return PutResult(split.tree, written.new_chunk_count)

    async def _record(self, begun: _Begun, written: Written) -> Split:
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(begun.upload.name, lock=True))
            await tx.touch_upload(upload.uid, self._limits.upload_ttl_s)
            if await _split_of(tx, upload, written.before.name) != written.before:
                raise SplitChanged(upload=upload.name, split=written.before.name)
            return await written.record(tx, upload.uid)


async def _split_of(tx: Transaction, upload: Upload, name: str) -> Split:
    """The split as the upload has it by now, or as it inherits it."""
    if not upload.target.inherit:
        raise NotInherited(upload=upload.name)
    for split in await splits_of(tx, upload):
        if split.name == name:
            return split
    raise SplitNotInUpload(upload=upload.name, split=name)


def _check_columns(given: pa.Schema, stored: pa.Schema) -> None:
    if tree.schema_digest(given) != tree.schema_digest(stored):
        raise ColumnsDiffer(columns=", ".join(stored.names), given=", ".join(given.names))


def _pieces(rows: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Rows in pieces of a few MiB, so that what is made of them is bounded however much a client sends at once."""
    for batch in rows:
        step = max(1, batch.num_rows * _PIECE_BYTES // max(1, batch.nbytes))
        yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))


def _by_row(places: dict[bytes, int]) -> list[tuple[bytes, int]]:
    return sorted(places.items(), key=lambda item: item[1])

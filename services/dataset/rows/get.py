"""Reading rows: from chunks to record batches of 1 to 4 MiB that lie in mapped packs.

What the caller gets is made to leave Python: up to a GiB, a table whose batches Arrow sends by itself. Beyond that the
packs are opened a window at a time while the stream is read, so that a long stream holds no more than a window's packs.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from chassis.filters import Filter
from services.dataset.errors import ColumnNotFound
from services.dataset.model import Chunk, RowRange
from services.dataset.rows.mapped import MappedPack, MappedPacks
from services.dataset.rows.writer import Run

WINDOW_PACKS = 16
_BATCH_MIN_BYTES = 64 << 10
_BATCH_TARGET_BYTES = 2 << 20
_BATCH_MAX_BYTES = 4 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of one block of one pack."""

    pack: str
    block: int
    row: int
    row_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class ReadPlan:
    """Where the rows of one read lie and how they are to look."""

    slices: tuple[Slice, ...]
    schema: pa.Schema

    @property
    def pack_count(self) -> int:
        """Packs that have to be open to read all rows at once."""
        return len({slice_.pack for slice_ in self.slices})


@dataclasses.dataclass(frozen=True, slots=True)
class FilteredRead:
    """Where rows lie of which some satisfy a condition."""

    slices: tuple[Slice, ...]
    schema: pa.Schema
    condition: Filter

    def batches(self, packs: MappedPacks, run: Run[Mapping[str, MappedPack]]) -> Iterator[pa.RecordBatch]:
        """The rows that satisfy it. For a thread other than the event loop's.

        Raises:
            InvalidFilter: it cannot be computed for a row.
        """
        names = list(dict.fromkeys([*self.schema.names, *self.condition.columns]))
        waiting: list[pa.RecordBatch] = []
        waiting_bytes = 0
        for slices, opened in _windows(self.slices, packs, run):
            for slice_ in slices:
                rows = opened[slice_.pack].rows(slice_.block, slice_.row, slice_.row_count).select(names)
                found = self.condition.select(pa.Table.from_batches([rows]))
                waiting += found.to_batches()
                waiting_bytes += found.nbytes
                if waiting_bytes >= _BATCH_TARGET_BYTES:
                    yield from self._joined(waiting)
                    waiting, waiting_bytes = [], 0
        yield from self._joined(waiting)

    def _joined(self, found: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if found:
            rows = pa.Table.from_batches([batch.replace_schema_metadata() for batch in found]).combine_chunks()
            yield from pa.Table.from_arrays(
                [rows.column(name) for name in self.schema.names], schema=self.schema
            ).to_batches()


def project(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """The schema with these columns in this order; none means all.

    Raises:
        ColumnNotFound: a column does not exist, or is asked for twice.
    """
    for name in columns:
        if name not in schema.names or columns.count(name) > 1:
            raise ColumnNotFound(column=name)
    return pa.schema([schema.field(name) for name in columns], schema.metadata) if columns else schema


def slices_of(chunks: Iterable[Chunk], rows: RowRange) -> Iterator[Slice]:
    """Where ``rows`` lie, given the chunks that hold them; chunks that lie side by side make one slice."""
    current: Slice | None = None
    for chunk in chunks:
        skip = max(0, rows.first - chunk.first_row)
        count = min(chunk.row_count, rows.first + rows.count - chunk.first_row) - skip
        place = chunk.placement
        following = Slice(place.pack, place.block, place.block_row + skip, count)
        if current is not None and _adjoins(current, following):
            current = dataclasses.replace(current, row_count=current.row_count + count)
        else:
            if current is not None:
                yield current
            current = following
    if current is not None:
        yield current


def read(plan: ReadPlan, packs: MappedPacks, run: Run[Mapping[str, MappedPack]]) -> pa.Table | Iterator[pa.RecordBatch]:
    """The rows. Called, and where it is an iterator also read, in a thread other than the event loop's."""
    if plan.pack_count <= WINDOW_PACKS:
        return _table(plan.slices, run(packs.open(slice_.pack for slice_ in plan.slices)), plan.schema)
    windows = _windows(plan.slices, packs, run)
    return (batch for slices, opened in windows for batch in _table(slices, opened, plan.schema).to_batches())


def _windows(
    slices: Sequence[Slice], packs: MappedPacks, run: Run[Mapping[str, MappedPack]]
) -> Iterator[tuple[list[Slice], Mapping[str, MappedPack]]]:
    """The slices, as many at a time as lie in a few packs, with these packs."""
    window: list[Slice] = []
    names: set[str] = set()
    for slice_ in itertools.chain(slices, (None,)):
        if slice_ is None or (slice_.pack not in names and len(names) == WINDOW_PACKS):
            yield window, run(packs.open(sorted(names)))
            window, names = [], set()
        if slice_ is not None:
            window.append(slice_)
            names.add(slice_.pack)


def _table(slices: Iterable[Slice], opened: Mapping[str, MappedPack], schema: pa.Schema) -> pa.Table:
    """The rows in batches as they are to be sent."""
    batches = [opened[slice_.pack].rows(slice_.block, slice_.row, slice_.row_count) for slice_ in slices]
    if not batches:
        return schema.empty_table()
    # The packs' schemas differ in the metadata that the stream does not have.
    rows = pa.Table.from_batches([batch.replace_schema_metadata() for batch in batches])
    table = pa.Table.from_arrays([rows.column(name) for name in schema.names], schema=schema)
    return _regrouped(table, [batch.num_rows for batch in batches])


def _regrouped(table: pa.Table, row_counts: Sequence[int]) -> pa.Table:
    """Cut where batches are too large, and joined where they are so small that each costs more than its bytes."""
    row_bytes = max(1, table.nbytes) / table.num_rows
    if row_bytes * table.num_rows / len(row_counts) < _BATCH_MIN_BYTES and len(row_counts) > 1:
        # A few narrow columns, which are copied; the blocks that they are of have 32 times as many bytes.
        rows = max(1, int(_BATCH_TARGET_BYTES / row_bytes))
        return pa.Table.from_batches(table.combine_chunks().to_batches(max_chunksize=rows), table.schema)
    if row_bytes * max(row_counts) <= _BATCH_MAX_BYTES:
        return table
    return pa.Table.from_batches(list(_cut(table)), table.schema)


def _cut(table: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in table.to_batches():
        pieces = max(1, -(-batch.nbytes // _BATCH_MAX_BYTES))
        rows = max(1, -(-batch.num_rows // pieces))
        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


def _adjoins(before: Slice, after: Slice) -> bool:
    return (before.pack, before.block, before.row + before.row_count) == (after.pack, after.block, after.row)

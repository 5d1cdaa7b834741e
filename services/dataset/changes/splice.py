"""Replacing rows within a split, at the cost of the chunks that hold them.

Where rows change, the chunk that they are in is cut again, and those behind it until a cut falls where one was before:
from there on the old cuts are right, because a cut depends on nothing but the rows since the one before it. The result
is what cutting all rows would give.
"""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from headwater import tree
from services.dataset.errors import RowOutOfRange
from services.dataset.model import Chunk
from services.dataset.rows.writer import ChunkWriter


@dataclasses.dataclass(frozen=True, slots=True)
class Replacement:
    """Rows ``first`` to ``first + count`` go, and these come in their place."""

    first: int
    count: int
    rows: Iterable[pa.RecordBatch]


Read = Callable[[int, int], Iterable[pa.RecordBatch]]
"""Rows of the split as it was: the first one's number, and how many."""


class Splicer:
    """Writes a split anew with some rows replaced. For one thread, other than the event loop's."""

    def __init__(self, old: Sequence[Chunk], schema: pa.Schema, read: Read, writer: ChunkWriter) -> None:
        self._old = old
        self._cutter = tree.ChunkBuilder(schema)
        self._schema = schema
        self._read = read
        self._writer = writer
        self._starts = [chunk.first_row for chunk in old]
        self._row_count = old[-1].first_row + old[-1].row_count if old else 0
        self._row = 0
        """The first row of the split as it was that neither is written nor has gone."""

    def splice(self, replacements: Iterable[Replacement]) -> None:
        """Write everything; the replacements come in order and do not overlap.

        Raises:
            RowOutOfRange: a replacement begins or ends behind the last row.
            What ChunkBuilder and ChunkWriter raise.
        """
        for replacement in replacements:
            if replacement.first + replacement.count > self._row_count:
                raise RowOutOfRange(first_row=replacement.first, count=replacement.count, rows=self._row_count)
            self._advance(replacement.first)
            for batch in replacement.rows:
                self._push(batch)
            self._row += replacement.count
        self._advance(self._row_count, is_end=True)
        for chunk in self._cutter.finish():
            self._writer.add(chunk)

    def _advance(self, until: int, *, is_end: bool = False) -> None:
        """Write the rows before ``until`` as they were: in chunks as they were wherever the cuts agree."""
        while self._row < until:
            chunk = self._old[bisect.bisect_right(self._starts, self._row) - 1]
            end = chunk.first_row + chunk.row_count
            is_cut_here = self._cutter.is_between_chunks and self._row == chunk.first_row
            # A cut that the row before it does not make depends on the row behind it, which may be about to change.
            if is_cut_here and (end < until or (end == until and (chunk.ends_naturally or is_end))):
                self._writer.add_stored(chunk.digest)
            else:
                end = min(end, until)
                for batch in self._read(self._row, end - self._row):
                    self._push(batch)
            self._row = end

    def _push(self, batch: pa.RecordBatch) -> None:
        for chunk in self._cutter.push(batch.cast(self._schema)):
            self._writer.add(chunk)


def batches_of(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """The table's batches, in pieces that the cutter takes one by one."""
    yield from table.to_batches(max_chunksize=1 << 16)

"""Cutting rows into chunks anew where some of them are replaced, and nowhere else.

Where rows change, the chunk that they are in is cut again, and those behind it until a cut falls where one was before:
from there on the old cuts are right, because a cut depends on nothing but the rows since the one before it. The result
is what cutting all rows would give.
"""

import dataclasses
from collections.abc import Iterable
from typing import Protocol

import pyarrow as pa

from headwater import tree
from services.dataset.changes.errors import ColumnsDiffer
from services.dataset.errors import RowOutOfRange
from services.dataset.model import Chunk
from services.dataset.rows.layout import laid_out

_GATHERED_BYTES = 4 << 20
_GATHERED_PIECES = 1 << 13


@dataclasses.dataclass(frozen=True, slots=True)
class Replacement:
    """Rows ``first`` to ``first + count`` go, and these come in their place."""

    first: int
    count: int
    rows: Iterable[pa.RecordBatch]


@dataclasses.dataclass(frozen=True, slots=True)
class Recut:
    """The chunks that hold the rows from ``first_row`` up to ``end_row`` go, and the next so many written ones come."""

    first_row: int
    end_row: int
    chunk_count: int


class Old(Protocol):
    """The split as it was."""

    @property
    def row_count(self) -> int:
        """Its rows."""
        ...

    def chunk_at(self, row: int) -> Chunk:
        """The chunk that holds a row."""
        ...

    def read(self, first: int, count: int) -> Iterable[pa.RecordBatch]:
        """Some of its rows."""
        ...


class Writer(Protocol):
    """Takes the new chunks, in order."""

    def add(self, chunk: tree.Chunk) -> None:
        """See ``rows.writer.ChunkWriter``."""
        ...


class Splicer:
    """Replaces rows of a split. For one thread, other than the event loop's."""

    def __init__(self, old: Old, schema: pa.Schema, writer: Writer) -> None:
        self._old = old
        self._cutter = tree.ChunkBuilder(schema)
        self._schema = schema
        self._writer = writer
        self._recuts: list[Recut] = []
        self._first = -1
        """Where what is being cut anew begins; -1 while nothing is."""
        self._written = 0
        """Chunks written since then."""
        self._gathered: list[pa.RecordBatch] = []
        self._gathered_bytes = 0
        self._row = 0
        """The first row of the split as it was that is still to be looked at."""

    def splice(self, replacements: Iterable[Replacement]) -> list[Recut]:
        """Cut and write what changes; the replacements come in order and do not overlap.

        Raises:
            RowOutOfRange: a replacement begins or ends behind the last row.
            ColumnsDiffer: values of rows do not fit the types that the split has them in.
            What ChunkBuilder and the writer raise.
        """
        for replacement in replacements:
            first, end = replacement.first, replacement.first + replacement.count
            if end > self._old.row_count:
                raise RowOutOfRange(first_row=first, count=replacement.count, rows=self._old.row_count)
            if self._first >= 0:
                self._advance(first)
            if self._first < 0:
                self._begin(first)
            self._copy(first)
            for batch in replacement.rows:
                self._gather(self._cast(batch))
            self._row = end
        if self._first >= 0:
            self._advance(self._old.row_count)
        if self._first >= 0:
            self._end()
        return self._recuts

    def _begin(self, row: int) -> None:
        """Begin with the chunk that holds the row, or the one before it where the row decides where that one ends."""
        begin = self._row
        if self._old.row_count:
            chunk = self._old.chunk_at(min(row, self._old.row_count - 1))
            begin = chunk.first_row
            if row == self._old.row_count and chunk.ends_naturally:
                begin = row
            elif row == chunk.first_row > 0:
                before = self._old.chunk_at(row - 1)
                begin = row if before.ends_naturally else before.first_row
        # Not before where the last cut agreed: that one holds whatever comes.
        self._first = self._row = max(begin, self._row)

    def _advance(self, until: int) -> None:
        """Cut the old rows before ``until`` again, or until a cut agrees with an old one."""
        while self._row < until:
            chunk = self._old.chunk_at(self._row)
            if self._row == chunk.first_row:
                self._push()
            if self._cutter.is_between_chunks and self._row == chunk.first_row:
                self._end()
                return
            self._copy(min(chunk.end_row, until))

    def _copy(self, until: int) -> None:
        if until > self._row:
            for batch in self._old.read(self._row, until - self._row):
                self._gather(batch)
            self._row = until

    def _end(self) -> None:
        self._push()
        for chunk in self._cutter.finish():
            self._write(chunk)
        self._recuts.append(Recut(self._first, self._row, self._written))
        self._first, self._written = -1, 0

    def _gather(self, batch: pa.RecordBatch) -> None:
        """Take the next rows. Where every second row changes they come one by one, and are cut together."""
        self._gathered.append(batch)
        self._gathered_bytes += batch.nbytes
        if self._gathered_bytes >= _GATHERED_BYTES or len(self._gathered) >= _GATHERED_PIECES:
            self._push()

    def _push(self) -> None:
        if self._gathered:
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            for chunk in self._cutter.push(gathered[0] if len(gathered) == 1 else pa.concat_batches(gathered)):
                self._write(chunk)

    def _write(self, chunk: tree.Chunk) -> None:
        self._writer.add(chunk)
        self._written += 1

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            return laid_out(batch, self._schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ColumnsDiffer(f"Values do not fit the types of the split: {error}") from error

"""What rows can be pushed from: files, tables, data frames, readers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from headwater.errors import InvalidArgument
from headwater.files.manifest import SourceFile


class RowSource(Protocol):
    """Rows in splits: a ``headwater.files.Source``, ``Tables``, or anything else with these."""

    @property
    def splits(self) -> Sequence[str]:
        """The splits' names."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The schema of every split."""
        ...

    def batches(self, split: str) -> Iterable[pa.RecordBatch]:
        """The rows of one split, in order."""
        ...

    def source_files(self) -> Iterable[SourceFile]:
        """The files that the rows come from, if they come from files."""
        ...


class Tables:
    """Rows that are in memory or come from readers, by split.

    Arrow tables, record batches and readers, pandas and polars data frames, and anything else that has
    ``__arrow_c_stream__``. What can be read once, like a reader, can be pushed once.

    Raises:
        InvalidArgument: there are no splits, the rows of one are nothing of these, or the columns differ.
    """

    def __init__(self, splits: Mapping[str, Any]) -> None:
        if not splits:
            raise InvalidArgument("There are no splits to push.")
        self._rows = {name: _reader(name, rows) for name, rows in splits.items()}
        self._given = dict(splits)
        self.splits = tuple(splits)
        self.schema: pa.Schema = next(iter(self._rows.values())).schema
        for name, reader in self._rows.items():
            if not reader.schema.equals(self.schema):
                raise InvalidArgument(f"The split {name} has other columns or types than {self.splits[0]}.", split=name)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of all rows; None where that is not known before they are read."""
        sizes = [getattr(rows, "nbytes", None) for rows in self._given.values()]
        known = [size for size in sizes if isinstance(size, int)]
        return sum(known) if len(known) == len(sizes) else None

    def batches(self, split: str) -> Iterable[pa.RecordBatch]:
        """See RowSource."""
        reader = self._rows.pop(split, None)
        rows: Iterable[pa.RecordBatch] = _reader(split, self._given[split]) if reader is None else reader
        return rows

    def source_files(self) -> Iterable[SourceFile]:
        """None."""
        return ()


def as_source(rows: RowSource | Mapping[str, Any]) -> RowSource:
    """``rows`` as they are, or a mapping from splits to tables as ``Tables``."""
    return Tables(rows) if isinstance(rows, Mapping) else rows


def _reader(split: str, rows: Any) -> pa.RecordBatchReader:
    if isinstance(rows, pa.RecordBatchReader):
        return rows
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        return rows.to_reader()
    if not hasattr(rows, "__arrow_c_stream__"):
        kind = type(rows).__name__
        raise InvalidArgument(f"The rows of {split} are a {kind}, which is no table: it has no __arrow_c_stream__.")
    return pa.RecordBatchReader.from_stream(rows)

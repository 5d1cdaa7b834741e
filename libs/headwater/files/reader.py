"""What reads files of one kind."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa

from headwater.files.errors import InvalidSplitBy
from headwater.files.splits import Selection
from headwater.files.walk import Found


class Reader(Protocol):
    """Turns files of one kind into rows of one schema."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        ...

    def read(self, files: Sequence[Found], selection: Selection | None) -> Iterator[pa.RecordBatch]:
        """The chosen rows of these files, in the files' order and then in the order they have within a file."""
        ...


def select(rows: pa.RecordBatch, selection: Selection | None) -> pa.RecordBatch:
    """The chosen ones of these rows."""
    if selection is None:
        return rows
    try:
        return rows.filter(pa.array(selection.mask(rows)))
    except pa.ArrowNotImplementedError as error:
        raise InvalidSplitBy(f"Rows of these types cannot be split by hash: {error}") from error

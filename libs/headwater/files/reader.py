"""What reads files of one kind."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from headwater.files.splits.rule import Choice
from headwater.files.walk import Found


class Reader(Protocol):
    """Turns files of one kind into rows of one schema."""

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        ...

    def read(self, files: Sequence[Found], choice: Choice | None) -> Iterator[pa.RecordBatch]:
        """The chosen rows of these files, in the files' order and then in the order they have within a file."""
        ...

    def look(self, files: Sequence[Found], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows in the same order, with these columns at least; no columns: only the number of rows counts."""
        ...


def select(rows: pa.RecordBatch, choice: Choice | None) -> pa.RecordBatch:
    """The chosen ones of the next rows."""
    return rows if choice is None else rows.filter(pa.array(choice.mask(rows)))


def narrowest(schema: pa.Schema) -> str:
    """The column that is read the fastest: of fixed width, and few bits."""
    return str(min(schema, key=_width).name)


def _width(field: pa.Field) -> int:
    try:
        return int(field.type.bit_width)
    except ValueError:
        return 1 << 20  # texts, lists and the like


def select_files(files: Sequence[Found], named: pa.RecordBatch, choice: Choice) -> list[Found]:
    """The chosen ones of files that are a row each; ``named`` holds what is known of them without reading them."""
    return [files[at] for at in np.flatnonzero(choice.mask(named)).tolist()]

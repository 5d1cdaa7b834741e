"""What a rule is that gives each row its split.

Some rules look at nothing but the names of files (``group``); the others look at the rows (``divide``), once before the
rows are read, and keep little of it: never a row, and at most 16 bytes for each.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.files.errors import InvalidSplitBy
from headwater.files.walk import Found

Classes = Mapping[str, Mapping[str, int]]
"""For each split, how many rows each value of a column has there."""


class Rows(Protocol):
    """Rows that can be looked at again and again, and come in one order."""

    @property
    def schema(self) -> pa.Schema:
        """Of every batch."""
        ...

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, with these columns at least; no columns: whatever says most cheaply how many rows there are."""
        ...


class Choice(Protocol):
    """A choice among rows, good for one pass over all of them."""

    @property
    def columns(self) -> Collection[str]:
        """What it looks at; none: nothing but where a row stands."""
        ...

    def mask(self, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Which of the next rows are chosen; they have these columns, and may have others."""
        ...


class Division(Protocol):
    """What a rule has decided for certain rows."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits' names, in a fixed order."""
        ...

    @property
    def classes(self) -> Classes:
        """By split, how many rows each class has; empty when the rule knows of no classes."""
        ...

    def choice(self, split: str) -> Choice | None:
        """The split's rows; None for all."""
        ...


class SplitBy(Protocol):
    """A rule that gives each row its split."""

    @property
    def depth(self) -> int:
        """How many folders of a file's path say nothing but its split."""
        ...

    def group(self, files: Sequence[Found]) -> Mapping[str, Sequence[Found]] | None:
        """The files of each split, when their names alone decide; else None."""
        ...

    def divide(self, rows: Rows) -> Division:
        """Decide by the rows.

        Raises:
            InvalidSplitBy: the rule cannot be followed with these rows.
        """
        ...


class ByRows:
    """What rules have in common that look at rows and not at files."""

    @property
    def depth(self) -> int:
        """No folder says anything."""
        return 0

    def group(self, files: Sequence[Found]) -> None:
        """Files say nothing: any of them may hold rows of any split."""


class Keys(Protocol):
    """Numbers for rows, whose order decides."""

    @property
    def columns(self) -> Collection[str]:
        """What they are made from."""
        ...

    def of(self, rows: pa.RecordBatch, first_row: int) -> npt.NDArray[np.uint64]:
        """The rows' numbers; ``first_row`` is how many rows came before."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """A division in which a row is in split i when i of the thresholds are not above its key."""

    splits: tuple[str, ...]
    keys: Keys
    thresholds: npt.NDArray[np.uint64]
    classes: Classes = dataclasses.field(default_factory=dict)

    def choice(self, split: str) -> "Choice":
        """See Division."""
        return Chosen(self.keys.columns, self.assign, self.splits.index(split))

    def assign(self, rows: pa.RecordBatch, first_row: int) -> npt.NDArray[np.intp]:
        """The index of each row's split."""
        return np.searchsorted(self.thresholds, self.keys.of(rows, first_row), side="right")


class Assign(Protocol):
    """Gives the next rows the index of their split."""

    def __call__(self, rows: pa.RecordBatch, first_row: int, /) -> npt.NDArray[np.intp]: ...


class Chosen:
    """The rows that are given one index; counts the rows that went by."""

    def __init__(self, columns: Collection[str], assign: Assign, index: int) -> None:
        self.columns = columns
        self._assign = assign
        self._index = index
        self._first_row = 0

    def mask(self, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """See Choice."""
        assigned = self._assign(rows, self._first_row)
        self._first_row += rows.num_rows
        return np.asarray(assigned == self._index)


def check_column(rows: pa.RecordBatch | Rows, column: str) -> None:
    """Raise InvalidSplitBy unless there is such a column."""
    if column not in rows.schema.names:
        columns = ", ".join(rows.schema.names)
        raise InvalidSplitBy(f"There is no column {column} to split by; there are {columns}.", column=column)

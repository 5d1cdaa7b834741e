"""Rows that are stored somewhere already, divided anew."""

import functools
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from headwater.files.batches import bounded
from headwater.files.errors import InvalidSplitBy
from headwater.files.manifest import SourceFile
from headwater.files.reader import narrowest, select
from headwater.files.splits import Classes, Division, SplitBy

Read = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
"""All rows, in one order, with these columns; none means all."""


class Divided:
    """Rows in the splits that a rule gives them, to be pushed."""

    def __init__(self, schema: pa.Schema, read: Read, split_by: SplitBy) -> None:
        """``read`` is called once for each split, and before that once when the rule looks at rows."""
        self.schema = schema
        self._read = read
        self._rule = split_by

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits' names."""
        return self._division.splits

    @property
    def classes(self) -> Classes:
        """By split, how many rows each class has; only of a rule that looks at classes."""
        return self._division.classes

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The split's rows in batches of 1 to 4 MiB."""
        if split not in self.splits:
            raise InvalidSplitBy(f"There is no split {split}; there are {', '.join(self.splits)}.", split=split)
        choice = self._division.choice(split)
        return bounded(select(batch, choice) for batch in self._read(()))

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows, with these columns; without any, with the one that is read the fastest."""
        return self._read(columns or [narrowest(self.schema)])

    def source_files(self) -> Iterator[SourceFile]:
        """None."""
        return iter(())

    @functools.cached_property
    def _division(self) -> Division:
        return self._rule.divide(self)

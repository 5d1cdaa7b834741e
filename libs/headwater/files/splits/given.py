"""Rules that find the split written down: nowhere, in a file's place, or in a column."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.files.errors import InvalidSplitBy, SourceUnsupported
from headwater.files.splits.names import KNOWN, MAX_SPLITS, in_order, split_of_file, unambiguous
from headwater.files.splits.rule import ByRows, Choice, Chosen, Classes, Division, Rows, check_column
from headwater.files.walk import Found
from headwater.names import InvalidName, check_segment, split_name


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """All rows in one split."""

    name: str = "train"
    depth: int = 0

    def __post_init__(self) -> None:
        check_segment(self.name, "split")

    @property
    def splits(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    @property
    def classes(self) -> Classes:
        """None."""
        return {}

    def group(self, files: Sequence[Found]) -> Mapping[str, Sequence[Found]]:
        """All files are the split's."""
        return {self.name: files}

    def divide(self, rows: Rows) -> Division:
        """All rows are the split's."""
        return self

    def choice(self, split: str) -> None:
        """All rows."""


@dataclasses.dataclass(frozen=True, slots=True)
class ByDirectory:
    """The first folder that a file is in, or its own name: ``train/…``, ``train.csv``, ``train-00000-of-00002.csv``.

    A folder has the name of its split, or a name that is another word for it: ``val`` is ``validation``.
    """

    depth: int = 1

    def group(self, files: Sequence[Found]) -> Mapping[str, Sequence[Found]]:
        """The files of each folder."""
        groups: dict[str, list[Found]] = {}
        folders: dict[str, None] = {}
        for file in files:
            folder, slash, _ = file.name.partition("/")
            try:
                split = split_name(folder) if slash else split_of_file(_stem(file))
            except InvalidName as error:
                raise SourceUnsupported(
                    f"{file.location} is not in a folder, and has no name, that a split can have.", path=file.location
                ) from error
            if slash:
                folders[folder] = None
            groups.setdefault(split, []).append(file)
        unambiguous(folders)
        return {split: groups[split] for split in in_order(groups)}

    def divide(self, rows: Rows) -> Division:
        """Rows are in no folder."""
        raise InvalidSplitBy("These rows are in no folders that they could be split by.")


def names_splits(files: Sequence[Found]) -> bool:
    """Whether there are files of several splits, all called as splits usually are: ``train.tar``, ``val.tar``."""
    try:
        splits = {split_of_file(_stem(file)) for file in files}
    except InvalidName:
        return False
    return len(splits) > 1 and splits <= set(KNOWN) and not any("/" in file.name for file in files)


@dataclasses.dataclass(frozen=True, slots=True)
class ByColumn(ByRows):
    """The value of a column, a text, is the name of the row's split, or another word for it."""

    column: str

    def __post_init__(self) -> None:
        if not self.column:
            raise InvalidSplitBy("A split by column needs the column's name.")

    def divide(self, rows: Rows) -> Division:
        """Find which values there are."""
        check_column(rows, self.column)
        kind = rows.schema.field(self.column).type
        if not any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
            raise InvalidSplitBy(f"Column {self.column} is {kind}; the name of a split is a text.", column=self.column)
        names: dict[str, None] = {}
        first_row = 0
        for batch in rows.look([self.column]):
            values = batch.column(self.column)
            if values.null_count:
                row = first_row + int(pc.index(values.is_null(), True).as_py())
                raise InvalidSplitBy(f"Column {self.column} names no split in row {row}.", column=self.column, row=row)
            names |= dict.fromkeys(values.unique().to_pylist())
            if len(names) > MAX_SPLITS:
                raise InvalidSplitBy(
                    f"Column {self.column} has more than {MAX_SPLITS} values, which cannot all be splits.",
                    column=self.column,
                )
            first_row += batch.num_rows
        return _Named(self.column, unambiguous(names))


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """A division by a column's values."""

    column: str
    meant: Mapping[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        return in_order(self.meant.values())

    @property
    def classes(self) -> Classes:
        return {}

    def choice(self, split: str) -> Choice:
        value = next(value for value, meant in self.meant.items() if meant == split)

        def assign(rows: pa.RecordBatch, _first_row: int) -> npt.NDArray[np.intp]:
            return np.asarray(pc.equal(rows.column(self.column), value), np.intp)

        return Chosen([self.column], assign, 1)


def _stem(file: Found) -> str:
    """The file's name without its extension, of which ``.tar.gz`` is one."""
    stem = os.path.splitext(file.name)[0]
    return stem.removesuffix(".tar") if file.extension == ".gz" else stem

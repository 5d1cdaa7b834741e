"""Files as rows, split by split."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from headwater.files.errors import InvalidSplitBy, SourceUnsupported
from headwater.files.formats import OPENERS
from headwater.files.images import EXTENSIONS, ImageReader
from headwater.files.manifest import Manifest, SourceFile
from headwater.files.reader import Reader
from headwater.files.splits import SplitBy, Whole
from headwater.files.tables import TableReader
from headwater.files.walk import Found, find_files


class Source:
    """A file or folder that rows can be read from. Nothing is read but names, sizes and schemas until rows are.

    The same files give the same rows in the same splits and order, everywhere and always.
    """

    def __init__(self, path: Path, split_by: SplitBy | None = None, types: pa.Schema | None = None) -> None:
        """Look at what is there.

        Args:
            path: a Parquet, CSV or Arrow file, a folder of such files, or a folder of images with a folder per class.
            split_by: which split a row belongs to; without it, all rows are in ``train``.
            types: what to convert the columns of tables to; without it, files say (and CSV files are guessed at).

        Raises:
            SourceNotFound, SourceEmpty, SourceUnreadable, SourceOutside, SourceUnsupported, SourceMalformed: naming
                the file.
        """
        self._files = find_files(path)
        self._split_by = split_by or Whole()
        self._manifest = Manifest()
        self.splits: tuple[str, ...] = self._split_by.splits(self._files)
        self._reader = self._make_reader(types)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch of every split."""
        return self._reader.schema

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The split's rows in batches of 1 to 4 MiB (an only batch or the last may be smaller), at most two in memory.

        Files are in the order of their names, rows in the order they have there. A split by hash of a table's column
        reads each file once for every split.

        Raises:
            InvalidSplitBy: there is no such split, or no column that it is to be decided by.
            SourceUnreadable, SourceMalformed, SourceChanged: naming the file.
        """
        if split not in self.splits:
            raise InvalidSplitBy(f"There is no split {split}; there are {', '.join(self.splits)}.", split=split)
        files = self._split_by.files_of(split, self._files)
        return self._reader.read(files, self._split_by.selection(split))

    def source_files(self) -> Iterator[SourceFile]:
        """Every file with its digest, by name. Files are only read for it when their rows were not read before."""
        return (self._manifest.entry(file) for file in self._files)

    def _make_reader(self, types: pa.Schema | None) -> Reader:
        kind = _kind_of(self._files)
        if kind == "table":
            return TableReader(self._files, self._manifest, types)
        if types is not None:
            raise SourceUnsupported("Types of columns can be given for tables, not for a folder of images.")
        return ImageReader(self._files, self._manifest, self._split_by.depth)


def _kind_of(files: Sequence[Found]) -> str:
    kinds: dict[str, list[Found]] = collections.defaultdict(list)
    for file in files:
        kinds["table" if file.extension in OPENERS else "image" if file.extension in EXTENSIONS else ""].append(file)
    if odd := kinds.pop("", None):
        known = ", ".join(sorted(OPENERS.keys() | EXTENSIONS))
        raise SourceUnsupported(f"{odd[0].path} has none of the extensions that are read: {known}.", path=odd[0].path)
    if len(kinds) > 1:
        one, other = (found[0].path for found in kinds.values())
        raise SourceUnsupported(f"{one} and {other} cannot be rows of one dataset: an image and a table.", path=other)
    return next(iter(kinds))

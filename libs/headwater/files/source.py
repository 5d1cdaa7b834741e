"""Files as rows, split by split."""

import collections
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from headwater.files import about, huggingface
from headwater.files.errors import InvalidSplitBy, SourceUnsupported
from headwater.files.formats import OPENERS
from headwater.files.images import ImageReader
from headwater.files.manifest import Manifest, SourceFile
from headwater.files.plain import FileReader
from headwater.files.reader import Reader
from headwater.files.recognise import format_of
from headwater.files.splits import ByDirectory, Classes, Division, SplitBy, Whole
from headwater.files.splits.given import names_splits
from headwater.files.splits.names import is_usual
from headwater.files.tables import TableReader
from headwater.files.walk import Found, find_files, stamp
from headwater.files.webdataset import SampleReader

KINDS = {
    "": "what the files are themselves",
    "files": "each file one row, whatever it is",
}
"""What files can be read as."""


class Source:
    """A file or folder that rows can be read from. Nothing is read but names, sizes and schemas until rows are.

    The same files give the same rows in the same splits and order, everywhere and always.
    """

    def __init__(
        self,
        path: Path | Sequence[Found],
        split_by: SplitBy | None = None,
        types: pa.Schema | None = None,
        *,
        kind: str = "",
    ) -> None:
        """Look at what is there.

        Args:
            path: a file, or a folder of files of one kind, as docs/reference/formats.md lists them; or files that were
                found already, by name.
            split_by: which split a row belongs to; without it, what the files and their names say of splits, else all
                rows are in ``train``.
            types: what to convert columns of tables to; the others have the type that files say (or that is told from
                CSV files and JSON lines).
            kind: one of KINDS.

        Raises:
            SourceNotFound, SourceEmpty, SourceUnreadable, SourceOutside, SourceUnsupported, SourceMalformed: naming
                the file.
            InvalidSplitBy: the rule asks for what is not there.
        """
        if kind not in KINDS:
            raise SourceUnsupported(f"Files cannot be read as {kind!r}; only as {', '.join(filter(None, KINDS))}.")
        self.notes: list[str] = []
        """What the user should know: files whose content is not what their names say."""
        self._files = find_files(path, empty_folders=kind == "files") if isinstance(path, Path) else [*path]
        self._manifest = Manifest()
        self.about = None if kind == "files" else about.read(self._files, self._manifest)
        """What a metadata.json or dataset.yml in the folder says."""
        self._rows = self._files
        if self.about is not None:
            self._rows = [file for file in self._files if not about.is_document(file, self._files)]
        self._split_by = split_by or self._told_by_names(kind)
        self._reader = self._make_reader(kind, types)
        self._rule = self._split_by or Whole()
        self._groups = self._rule.group(self._rows)
        if self.about is not None and self._groups is not None:
            self.about.check_splits(self.file_bytes)

    def _told_by_names(self, kind: str) -> SplitBy | None:
        """By their names, where a document says splits, or where the files themselves are called as splits are."""
        if self.about and self.about.splits:
            return ByDirectory()
        if kind == "files":
            return None
        if names_splits(self._rows):
            return ByDirectory()
        folders = {file.name.partition("/")[0] for file in self._rows if "/" in file.name}
        if len(folders) > 1 and all(is_usual(folder) for folder in folders):
            said = ", ".join(sorted(folders))
            self.notes.append(f"The folders are called {said}, and all rows are in train: --split-by directory splits.")
        return None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits' names. Rules that look at rows read them for it, once."""
        return tuple(self._groups) if self._groups is not None else self._division.splits

    @property
    def classes(self) -> Classes:
        """By split, how many rows each class has; only of a rule that looks at classes."""
        return {} if self._groups is not None else self._division.classes

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch of every split."""
        return self._reader.schema

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The split's rows in batches of 1 to 4 MiB (an only batch or the last may be smaller), at most two in memory.

        Files are in the order of their names, rows in the order they have there. When rows have to be looked at to be
        split, each file is read once for every split.

        Raises:
            InvalidSplitBy: there is no such split.
            SourceUnreadable, SourceMalformed, SourceChanged: naming the file.
        """
        if split not in self.splits:
            raise InvalidSplitBy(f"There is no split {split}; there are {', '.join(self.splits)}.", split=split)
        if self._groups is not None:
            return self._reader.read(self._groups[split], None)
        return self._reader.read(self._rows, self._division.choice(split))

    def files_of(self, split: str) -> Sequence[Found] | None:
        """The split's files, where each of them is one row and their names alone say what splits they are in."""
        if self._groups is None or not isinstance(self._reader, ImageReader | FileReader):
            return None
        return self._groups[split]

    def read_files(self, files: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """The rows of some of the files that ``files_of`` gave."""
        return self._reader.read(files, None)

    def content_digest(self, file: Found) -> bytes:
        """The SHA-256 of a file whose rows were read, or that is known."""
        return self._manifest.digest(file)

    def know(self, file: Found, digest: bytes) -> None:
        """Believe that the file's content has this SHA-256, so that it is not read for it."""
        self._manifest.know(file, digest)

    @property
    def size_bytes(self) -> int:
        """About how many bytes the rows of all splits have: what Parquet files say of it, the sizes of
        the members of archives, else the sizes of the files.

        The rows of texts (CSV, JSON lines) and of compressed or encoded files may have several times as many, or as
        few.
        """
        told = self._reader.sizes if isinstance(self._reader, TableReader | SampleReader) else {}
        return sum(told.get(file.name, file.size_bytes) for file in self._rows)

    @property
    def file_bytes(self) -> Mapping[str, int]:
        """By split, the bytes of the files that its rows are read from; nothing of splits that share files."""
        groups = self._groups or {}
        return {split: sum(file.size_bytes for file in files) for split, files in groups.items()}

    def look(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """All rows of all splits, with these columns at least."""
        return self._reader.look(self._rows, columns)

    def source_files(self) -> Iterator[SourceFile]:
        """Every file with its digest, by name. Files are only read for it when their rows were not read before."""
        return (self._manifest.entry(file) for file in self._files)

    def stamp(self) -> bytes:
        """32 bytes that change when a file does, made without opening one: see ``headwater.files.walk.stamp``."""
        return stamp(self._files)

    @functools.cached_property
    def _division(self) -> Division:
        return self._rule.divide(self)

    def _make_reader(self, kind: str, types: pa.Schema | None) -> Reader:
        if kind == "files":
            _no_types(types, "files as they are")
            return FileReader(self._rows, self._manifest)
        if huggingface.is_saved(self._rows):
            return self._huggingface(types)
        formats = {file.name: format_of(file, self.notes) for file in self._rows}
        family = _family_of(self._rows, formats)
        return _READERS[family](self, formats, types)

    def _images(self, formats: Mapping[str, str], types: pa.Schema | None) -> Reader:
        _no_types(types, "a folder of images")
        return ImageReader(self._rows, self._manifest, self._split_by.depth if self._split_by else 0)

    def _tables(self, formats: Mapping[str, str], types: pa.Schema | None) -> Reader:
        return TableReader(self._rows, formats, self._manifest, types)

    def _samples(self, formats: Mapping[str, str], types: pa.Schema | None) -> Reader:
        return SampleReader(self._rows, formats, self._manifest, types)

    def _huggingface(self, types: pa.Schema | None) -> Reader:
        saved, self._rows = self._rows, huggingface.data_files(self._rows)
        if self._split_by is None and huggingface.has_splits(saved):
            self._split_by = ByDirectory()
        formats = {file.name: "arrow" for file in self._rows}
        reader = TableReader(self._rows, formats, self._manifest, types)
        reader.schema = huggingface.annotated(reader.schema, saved)
        return reader


_READERS: Mapping[str, Callable[[Source, Mapping[str, str], pa.Schema | None], Reader]] = {
    "an image": Source._images,
    "a table": Source._tables,
    "an archive of samples": Source._samples,
}


_FAMILIES = {
    **dict.fromkeys(OPENERS, "a table"),
    **dict.fromkeys(("tar", "tar.gz"), "an archive of samples"),
    "image": "an image",
}


def _family_of(files: Sequence[Found], formats: Mapping[str, str]) -> str:
    """What all the files are."""
    families: dict[str, list[Found]] = collections.defaultdict(list)
    for file in files:
        families[_FAMILIES[formats[file.name]]].append(file)
    if len(families) > 1:
        (one, first), (other, second) = [(family, found[0].location) for family, found in families.items()][:2]
        raise SourceUnsupported(f"{first} and {second} cannot be rows of one dataset: {one} and {other}.", path=second)
    return next(iter(families))


def _no_types(types: pa.Schema | None, what: str) -> None:
    if types is not None:
        raise SourceUnsupported(f"Types of columns can be given for tables, not for {what}.")

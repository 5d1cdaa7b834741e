"""Files that hold tables: their rows as they are, one file after the other."""

import contextlib
import errno
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from headwater.files.batches import bounded
from headwater.files.errors import SourceChanged, SourceMalformed, SourceUnreadable
from headwater.files.formats import OPENERS
from headwater.files.manifest import Manifest, reading
from headwater.files.opened import Opened
from headwater.files.reader import narrowest, select
from headwater.files.splits.rule import Choice
from headwater.files.walk import Found
from headwater.tree import schema_digest

_CHECKED_WHILE_READ = frozenset({"jsonl"})
"""Formats in which every row says its columns: the types are those of the first file, for all."""


class TableReader:
    """Rows of files that all have the same columns and types."""

    def __init__(
        self, files: Sequence[Found], formats: Mapping[str, str], manifest: Manifest, types: pa.Schema | None
    ) -> None:
        """Look at every file's schema.

        Args:
            formats: of each file, by its name.
            types: what columns are converted to; the others keep the type that the file says.

        Raises:
            SourceMalformed, SourceUnreadable: naming the file.
            UnsupportedType, InvalidSchema: the rows cannot be those of a dataset.
        """
        self._manifest = manifest
        self._formats = formats
        self._types = types
        self.sizes: dict[str, int] = {}
        """By the names of files, about how many bytes their rows have, as they say themselves."""
        self.schema = self._merged(files[0])
        schema_digest(self.schema)
        for file in files:
            if formats[file.name] not in _CHECKED_WHILE_READ:
                self._check(file)

    def read(self, files: Sequence[Found], choice: Choice | None) -> Iterator[pa.RecordBatch]:
        """The chosen rows in batches of 1 to 4 MiB."""
        return bounded(select(batch, choice) for file in files for batch in self._rows(file))

    def look(self, files: Sequence[Found], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Reader. Of Parquet files only these columns are read."""
        # Rows are counted by reading what is read the fastest; what a file says of their number may be anything.
        columns = columns or [narrowest(self.schema)]
        schema = pa.schema([self.schema.field(name) for name in columns])
        for file in files:
            with self._opened(file) as table:
                batches = table.look(columns) if table.look else table.batches
                for batch in batches:
                    yield _valid(batch.select(columns)).cast(schema)

    def _rows(self, file: Found) -> Iterator[pa.RecordBatch]:
        # The digest first: what is read after it is checked to be of the same file.
        self._manifest.entry(file)
        with self._opened(file) as table:
            for batch in table.batches:
                yield _valid(batch).cast(self.schema)
            file.check_unchanged()

    def _opened(self, file: Found) -> contextlib.AbstractContextManager[Opened]:
        types = self.schema if self._formats[file.name] in _CHECKED_WHILE_READ else self._types
        return self._open(file, types)

    def _open(self, file: Found, types: pa.Schema | None) -> contextlib.AbstractContextManager[Opened]:
        return opened(file, functools.partial(OPENERS[self._formats[file.name]], file, types))

    def _schema_of(self, file: Found) -> pa.Schema:
        types = None if self._formats[file.name] in _CHECKED_WHILE_READ else self._types
        with self._open(file, types) as table:
            if table.size_bytes is not None:
                self.sizes[file.name] = table.size_bytes
            return table.schema

    def _merged(self, file: Found) -> pa.Schema:
        """The first file's columns, with the types that are given."""
        schema = _plain(self._schema_of(file))
        if self._types is None:
            return schema
        if set(schema.names) <= set(self._types.names):
            return self._types
        given = {field.name: field for field in self._types}
        if unknown := given.keys() - set(schema.names):
            raise SourceMalformed(f"{file.location} has no column {min(unknown)}.", path=file.location)
        return pa.schema([given.get(field.name, field) for field in schema], schema.metadata)

    def _check(self, file: Found) -> None:
        schema = self._schema_of(file)
        if schema.names != self.schema.names:
            raise SourceMalformed(
                f"{file.location} has the columns {', '.join(schema.names)} and not {', '.join(self.schema.names)}.",
                path=file.location,
            )
        given = set(self._types.names) if self._types else set()
        for field, wanted in zip(_plain(schema), self.schema, strict=True):
            same = schema_digest(pa.schema([field])) == schema_digest(pa.schema([wanted]))
            if field.name not in given and not same:
                raise SourceMalformed(
                    f"Column {field.name} is {field.type} in {file.location} and {wanted.type} in the files before it.",
                    path=file.location,
                    column=field.name,
                )


@contextlib.contextmanager
def opened(file: Found, opener: Callable[[], contextlib.AbstractContextManager[Opened]]) -> Iterator[Opened]:
    """The file as a table; whatever is wrong with it is told by its name."""
    try:
        with reading(file), opener() as table:
            yield table
    except (pa.ArrowException, ValueError, SourceMalformed, SourceUnreadable) as error:
        if isinstance(error, SourceUnreadable) and not _follows_content(error.__cause__):
            raise
        if (changed := _changed(file)) is not None:
            raise changed from error
        if isinstance(error, SourceMalformed):
            raise
        raise SourceMalformed(f"{file.location} cannot be read as rows: {error}", path=file.location) from error


def _follows_content(error: BaseException | None) -> bool:
    """Whether the system was asked for what only a damaged file asks for: a place before its beginning, for example."""
    return isinstance(error, OSError) and error.errno in (None, errno.EINVAL)


def _valid(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows, if a kernel may look at them: buffers of Arrow files are as they came, and texts may be no UTF-8."""
    rows.validate(full=True)
    return rows


def _changed(file: Found) -> SourceChanged | None:
    try:
        file.check_unchanged()
    except SourceChanged as error:
        return error
    return None


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema without dictionaries and views: they say how rows were stored, and not every tool can read them."""
    return pa.schema([field.with_type(_plain_type(field.type)) for field in schema], schema.metadata)


def _plain_type(kind: Any) -> Any:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return plain.get(kind, kind)

"""Parquet, CSV and Arrow files: their rows as they are, one file after the other."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from headwater.files.batches import bounded
from headwater.files.errors import SourceChanged, SourceMalformed
from headwater.files.formats import OPENERS, Opened
from headwater.files.manifest import Manifest, reading
from headwater.files.reader import select
from headwater.files.splits import Selection
from headwater.files.walk import Found
from headwater.tree import schema_digest


class TableReader:
    """Rows of files that all have the same columns and types."""

    def __init__(self, files: Sequence[Found], manifest: Manifest, types: pa.Schema | None) -> None:
        """Look at every file's schema; ``types``, when given, is what all columns are converted to.

        Raises:
            SourceMalformed, SourceUnreadable: naming the file.
            UnsupportedType, InvalidSchema: the rows cannot be those of a dataset.
        """
        self._manifest = manifest
        self._types = types
        self.schema = types or _plain(self._schema_of(files[0]))
        schema_digest(self.schema)
        for file in files:
            self._check(file)

    def read(self, files: Sequence[Found], selection: Selection | None) -> Iterator[pa.RecordBatch]:
        """The chosen rows in batches of 1 to 4 MiB."""
        return bounded(select(batch, selection) for file in files for batch in self._rows(file))

    def _rows(self, file: Found) -> Iterator[pa.RecordBatch]:
        # The digest first: what is read after it is checked to be of the same file.
        self._manifest.entry(file)
        with _opened(file, self._types) as table:
            for batch in table.batches:
                yield batch.cast(self.schema)
            file.check_unchanged()

    def _schema_of(self, file: Found) -> pa.Schema:
        with _opened(file, self._types) as table:
            return table.schema

    def _check(self, file: Found) -> None:
        schema = self._schema_of(file)
        if schema.names != self.schema.names:
            raise SourceMalformed(
                f"{file.path} has the columns {', '.join(schema.names)} and not {', '.join(self.schema.names)}.",
                path=file.path,
            )
        if self._types is not None:
            return
        for field, wanted in zip(_plain(schema), self.schema, strict=True):
            if schema_digest(pa.schema([field])) != schema_digest(pa.schema([wanted])):
                raise SourceMalformed(
                    f"Column {field.name} is {field.type} in {file.path} and {wanted.type} in the files before it.",
                    path=file.path,
                    column=field.name,
                )


@contextlib.contextmanager
def _opened(file: Found, types: pa.Schema | None) -> Iterator[Opened]:
    """The file as a table; whatever is wrong with it is told by its name."""
    try:
        with reading(file), OPENERS[file.extension](file, types) as table:
            yield table
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        file_changed = _changed(file)
        if file_changed is not None:
            raise file_changed from error
        raise SourceMalformed(f"{file.path} cannot be read as rows: {error}", path=file.path) from error


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

"""WebDataset archives: a row for each sample, a column for each extension, the rows of many shards in their order."""

import array
import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.files import samples
from headwater.files.batches import bounded
from headwater.files.errors import SourceMalformed
from headwater.files.groups import MAX_FILE_BYTES
from headwater.files.json_columns import JsonColumn
from headwater.files.manifest import Manifest, reading
from headwater.files.reader import select
from headwater.files.splits.rule import Choice
from headwater.files.tars import Member, TarReader, open_tar
from headwater.files.walk import Found
from headwater.tree import schema_digest

MAX_COLUMNS = 1000
_BATCH_BYTES = 1 << 20
_BATCH_ROWS = 1 << 12
_TOLD_ROWS = 1000
_TOLD_BYTES = 16 << 20

Sample = dict[str, bytes]
"""A sample's members by their extension; under samples.KEY its key."""


class SampleReader:
    """Rows of ``__key__`` and of what the members of a sample hold; null where a sample has no such member."""

    def __init__(
        self, files: Sequence[Found], formats: Mapping[str, str], manifest: Manifest, types: pa.Schema | None
    ) -> None:
        """Look at the name of every member of every archive; archives that are not packed need not be read for it.

        Args:
            types: what columns are converted to. A JSON column of type string keeps its texts as they are.

        Raises:
            SourceMalformed, SourceUnreadable: naming archive and member.
        """
        self._formats = formats
        self._manifest = manifest
        self.sizes: dict[str, int] = {}
        """By the names of archives, the bytes of their members."""
        self._rows: dict[str, int] = {}
        self._columns: dict[str, list[str]] = {}
        """The extensions that a column's members have: one, or those of several image formats."""
        for file in files:
            self._scan(file)
        given = {field.name: field.type for field in types or ()}
        is_complete = set(given) >= {samples.KEY, *self._columns}
        if is_complete:  # columns of which no sample has a member are null
            self._columns |= {name: [] for name in given.keys() - self._columns.keys() - {samples.KEY}}
        elif unknown := given.keys() - self._columns.keys() - {samples.KEY}:
            raise SourceMalformed(f"{files[0].location} has no column {min(unknown)}.", path=files[0].location)
        self._json = {
            column: JsonColumn(column, given.get(column))
            for column, extensions in self._columns.items()
            if extensions and samples.type_of(extensions[0]) is None
        }
        self._tell(files)
        natural = {samples.KEY: pa.string()} | {column: self._type(column) for column in self._columns}
        if is_complete:
            natural = {name: natural[name] for name in given}
        self._natural = pa.schema(list(natural.items()))
        self.schema = pa.schema([(name, given.get(name, kind)) for name, kind in natural.items()])
        schema_digest(self.schema)

    def read(self, files: Sequence[Found], choice: Choice | None) -> Iterator[pa.RecordBatch]:
        """The chosen rows in batches of 1 to 4 MiB."""
        return bounded(select(batch, choice) for file in files for batch in self._checked(file))

    def look(self, files: Sequence[Found], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Reader. Members of other columns are passed over."""
        for file in files:
            yield from self._batches(file, columns or [samples.KEY])

    def _checked(self, file: Found) -> Iterator[pa.RecordBatch]:
        self._manifest.entry(file)  # first: what is read after it is checked to be of the same file
        yield from self._batches(file, self.schema.names)
        file.check_unchanged()

    def _batches(self, file: Found, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        group: list[Sample] = []
        size_bytes = 0
        for sample in self._samples(file, {ext for name in columns for ext in self._columns.get(name, ())}):
            group.append(sample)
            size_bytes += sum(map(len, sample.values()))
            if size_bytes >= _BATCH_BYTES or len(group) == _BATCH_ROWS:
                yield self._batch(file, group, columns)
                group, size_bytes = [], 0
        if group:
            yield self._batch(file, group, columns)

    def _batch(self, file: Found, group: list[Sample], columns: Sequence[str]) -> pa.RecordBatch:
        arrays = [self._array(file, group, name) for name in columns]
        wanted = pa.schema([self.schema.field(name) for name in columns])
        try:
            return pa.record_batch(arrays, names=list(columns)).cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise _malformed(file, group[0], "", error) from error

    def _array(self, file: Found, group: list[Sample], column: str) -> pa.Array:
        if column == samples.KEY:
            return pa.array([sample[samples.KEY].decode() for sample in group], pa.string())
        values = []
        for sample in group:
            extension = next((extension for extension in self._columns[column] if extension in sample), "")
            try:
                values.append(self._value(column, extension, sample[extension]) if extension else None)
            except ValueError as error:
                raise _malformed(file, sample, extension, error) from error
        return pa.array(values, self._type(column))

    def _value(self, column: str, extension: str, content: bytes) -> Any:
        json = self._json.get(column)
        return json.value(content) if json else samples.decoded(extension, content)

    def _type(self, column: str) -> Any:
        json = self._json.get(column)
        return json.type if json else samples.type_of(self._columns[column][0]) if self._columns[column] else pa.null()

    def _tell(self, files: Sequence[Found]) -> None:
        """Tell the types of JSON columns from the first samples."""
        extensions = {ext for column, json in self._json.items() if json.is_told for ext in self._columns[column]}
        size_bytes = rows = 0
        if not extensions:
            return
        for file in files:
            for sample in self._samples(file, extensions):
                for column, json in self._json.items():
                    extension = self._columns[column][0]
                    if json.is_told and (content := sample.get(extension)) is not None:
                        try:
                            json.tell(content)
                        except ValueError as error:
                            raise _malformed(file, sample, extension, error) from error
                        size_bytes += len(content)
                rows += 1
                if rows == _TOLD_ROWS or size_bytes >= _TOLD_BYTES:
                    return

    def _scan(self, file: Found) -> None:
        """Find the columns of an archive, its rows, and whether two of them have one key."""
        hashes = array.array("Q")
        self.sizes[file.name] = 0
        for sample in self._samples(file, (), self.sizes):
            for extension in list(sample)[1:]:  # the first is the key
                self._add_column(file, sample, extension)
            if len(self._columns) > MAX_COLUMNS:
                raise _malformed(file, sample, "", ValueError(f"there are more than {MAX_COLUMNS} extensions"))
            hashes.append(samples.key_hash(sample[samples.KEY]))
        ordered = np.sort(np.frombuffer(hashes, np.uint64)) if hashes else np.empty(0, np.uint64)
        if twice := set(ordered[:-1][ordered[1:] == ordered[:-1]].tolist()):
            again = next(sample for sample in self._samples(file, ()) if samples.key_hash(sample[samples.KEY]) in twice)
            raise _malformed(file, again, "", ValueError("its members are not together, or it is there twice"))
        self._rows[file.name] = len(hashes)

    def _add_column(self, file: Found, sample: Sample, extension: str) -> None:
        column = samples.column_of(extension)
        own = self._columns.setdefault(column, [extension])
        if extension not in own:
            # Of bytes, some may be images, whose kind their member's name says.
            if not all(samples.type_of(one) == pa.binary() for one in (extension, *own)):
                raise _malformed(file, sample, extension, ValueError(f"{own[0]} is the column {column} already"))
            own.append(extension)
        if twice := [one for one in own if one in sample][1:]:
            raise _malformed(file, sample, twice[0], ValueError(f"it has the column {column} twice"))

    def _samples(
        self, file: Found, extensions: Collection[str], sizes: dict[str, int] | None = None
    ) -> Iterator[Sample]:
        """The samples in order; of each the content of these members, and b"" for the others.

        Adds the sizes of all members to that of the archive in ``sizes``.
        """
        with reading(file), contextlib.closing(open_tar(file, self._formats[file.name])) as stream:
            tar = TarReader(stream, file.location)
            sample: Sample = {}
            for member in tar:
                key, extension = _key(tar, member)
                if sizes is not None:
                    sizes[file.name] += member.size_bytes
                if sample.get(samples.KEY) != key.encode():
                    if sample:
                        yield sample
                    sample = {samples.KEY: key.encode()}
                if extension in sample:
                    raise tar.malformed(f"{member.name} is there twice")
                if extension in extensions:
                    sample[extension] = tar.read(member)
                elif not extensions:
                    sample[extension] = b""
            if sample:
                yield sample


def _key(tar: TarReader, member: Member) -> tuple[str, str]:
    key, extension = samples.split_name(member.name)
    if not extension or key.endswith("/") or not key or extension == samples.KEY:
        raise tar.malformed(f"{member.name} has no extension, which would be its column")
    if member.size_bytes > MAX_FILE_BYTES:
        raise tar.malformed(f"{member.name} has {member.size_bytes} bytes; a member may have {MAX_FILE_BYTES}")
    return key, extension


def _malformed(file: Found, sample: Sample, extension: str, error: Exception) -> SourceMalformed:
    key = sample[samples.KEY].decode()
    return SourceMalformed(
        f"{file.location}, sample {key}{'.' if extension else ''}{extension}: {error}.", path=file.location
    )

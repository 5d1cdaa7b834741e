"""From record batches to the digests of their rows."""

import dataclasses
import hashlib
import itertools
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.tree import arrays
from headwater.tree.errors import MalformedRows, RowTooLarge, SchemaChanged
from headwater.tree.format import ROW, ROW_MAX_BYTES
from headwater.tree.heads import Heads, ends_of, join, offsets_of
from headwater.tree.schema import columns_of, schema_digest

_PIECE_ROWS = 1 << 14
_PIECE_BYTES = 4 << 20
_SMALL_ROW_BYTES = 2 << 10
"""Below this, slicing bytes is faster than slicing a memoryview, though it copies."""
_LARGE_PART_BYTES = 1 << 10
"""From this on, digesting a row part by part is faster than joining its parts first."""


@dataclasses.dataclass(frozen=True, slots=True)
class RowDigests:
    """The digests of consecutive rows of a batch."""

    rows: pa.RecordBatch
    digests: bytes
    """32 bytes for each row."""
    sizes: npt.NDArray[np.int64]
    """The bytes of each row's canonical encoding."""


class RowHasher:
    """Digests rows of one schema, in pieces of a few MiB whatever the size of the batches.

    Raises (here or in ``hash``):
        InvalidSchema, UnsupportedType: the schema cannot be that of a dataset.
        SchemaChanged, MalformedRows, RowTooLarge: a batch cannot be part of it.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema.remove_metadata()
        self.schema_digest = schema_digest(schema)
        self._columns = columns_of(schema)
        self._prefix = np.frombuffer(ROW + self.schema_digest, f"V{len(ROW + self.schema_digest)}")
        self._width = self._prefix.itemsize + sum(column.width for column in self._columns)

    def hash(self, batch: pa.RecordBatch) -> Iterator[RowDigests]:
        """The rows' digests, in order."""
        if not batch.schema.equals(self.schema):
            raise _changed(self.schema, batch.schema)
        try:
            # Rows come from anywhere; an offset past its buffer's end must never reach a kernel.
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise MalformedRows(f"A batch of rows is malformed: {error}") from error
        per_row = max(1, batch.nbytes // max(1, batch.num_rows))
        step = max(1, min(_PIECE_ROWS, _PIECE_BYTES // per_row))
        for start in range(0, batch.num_rows, step):
            yield from self._hash(batch.slice(start, step))

    def _hash(self, rows: pa.RecordBatch) -> Iterator[RowDigests]:
        """Halve what turns out to be too large once unfolded, down to a single row."""
        try:
            yield self._digests(rows)
        except arrays.UnfoldError:
            if rows.num_rows == 1:
                raise RowTooLarge(limit_bytes=ROW_MAX_BYTES) from None
            half = rows.num_rows // 2
            yield from self._hash(rows.slice(0, half))
            yield from self._hash(rows.slice(half))

    def _digests(self, rows: pa.RecordBatch) -> RowDigests:
        heads = Heads(rows.num_rows, self._width)
        heads.put(0, self._prefix.dtype, self._prefix[0])
        at = self._prefix.itemsize
        bodies: list[pa.Array] = []
        for column, array in zip(self._columns, rows.columns, strict=True):
            bodies += column.write(arrays.plain(array), heads, at)
            at += column.width
        sizes = sum((np.diff(offsets_of(one)) for one in bodies), np.full(rows.num_rows, self._width, np.int64))
        largest = int(sizes.max()) - self._prefix.itemsize
        if largest > ROW_MAX_BYTES:
            raise RowTooLarge(row_bytes=largest, limit_bytes=ROW_MAX_BYTES)
        size_bytes = int(sizes.sum())
        arrays.bound(size_bytes)
        parts = [heads.as_body(np.arange(rows.num_rows + 1)), *bodies]
        if size_bytes >= _LARGE_PART_BYTES * len(parts) * rows.num_rows:
            digests = _sha256_of_parts(parts)
        else:
            digests = _sha256_each(join(parts).buffers()[2], sizes)
        return RowDigests(rows, digests, sizes - self._prefix.itemsize)


def _changed(wanted: pa.Schema, got: pa.Schema) -> SchemaChanged:
    if len(got) != len(wanted):
        return SchemaChanged(f"A batch has {len(got)} columns in a stream of {len(wanted)}.")
    number = next(index for index in range(len(got)) if not got.field(index).equals(wanted.field(index)))
    name = wanted.field(number).name
    return SchemaChanged(f"Column {name} has another name, type or nullability than at the beginning.", column=name)


def _sha256_of_parts(parts: Sequence[pa.Array]) -> bytes:
    """The digest of each row, whose parts are the values of the arrays in order."""
    hashers = [hashlib.sha256() for _ in range(len(parts[0]))]
    for part in parts:
        view, ends = memoryview(part.buffers()[2] or b""), offsets_of(part).tolist()
        for hasher, (start, end) in zip(hashers, itertools.pairwise(ends), strict=True):
            hasher.update(view[start:end])
    return b"".join([hasher.digest() for hasher in hashers])


def _sha256_each(data: pa.Buffer, sizes: npt.NDArray[np.int64]) -> bytes:
    """Where Python touches every row: a SHA-256 call each."""
    sha256 = hashlib.sha256
    if int(sizes[0]) <= _SMALL_ROW_BYTES and (sizes == sizes[0]).all():
        return b"".join([sha256(row).digest() for (row,) in struct.iter_unpack(f"{sizes[0]}s", data)])
    view: memoryview | bytes = memoryview(data)
    if len(view) <= _SMALL_ROW_BYTES * len(sizes):
        view = bytes(view)
    ends = ends_of(sizes).tolist()
    return b"".join([sha256(view[start:end]).digest() for start, end in itertools.pairwise(ends)])

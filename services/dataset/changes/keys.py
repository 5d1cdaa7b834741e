"""Finding rows by key: only the key columns are read, and of chunks that cannot hold any of the keys not even they."""

import asyncio
import bisect
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.tree import DIGEST_BYTES
from services.dataset.changes.errors import KeyIsNull, KeyNotUnique, KeyTypeUnsupported, NoKeyColumns, TooManyKeys
from services.dataset.changes.side import Side, key_digests
from services.dataset.model import Chunk
from services.dataset.rows import statistics
from services.dataset.store import Store

MAX_BYTES = 64 << 20
"""Of the rows of one stream."""
_CHUNKS_AT_ONCE = 64
_is = pa.types


@dataclasses.dataclass(frozen=True, slots=True)
class KeyedTable:
    """Rows that a client has sent, each with a key of its own."""

    rows: pa.Table
    columns: tuple[str, ...]
    numbers: Mapping[bytes, int]
    """The number of the row with each key, by the key's digest."""

    @classmethod
    def of(cls, schema: pa.Schema, rows: Iterable[pa.RecordBatch], columns: Sequence[str]) -> "KeyedTable":
        """All rows of a stream, whose schema has the key columns.

        Raises:
            NoKeyColumns, KeyTypeUnsupported, KeyIsNull, KeyNotUnique, TooManyKeys
        """
        if not columns:
            raise NoKeyColumns
        for column in columns:
            _check_type(column, schema.field(column).type)
        batches, size = [], 0
        for batch in rows:
            batches.append(batch)
            size += batch.nbytes
            if size > MAX_BYTES:
                raise TooManyKeys(limit_bytes=MAX_BYTES)
        table = pa.Table.from_batches(batches, schema)
        keys = table.select(list(columns))
        for column in columns:
            if keys.column(column).null_count:
                raise KeyIsNull(column=column)
        numbers = {digest: number for number, digest in enumerate(_digests(keys))}
        if len(numbers) < table.num_rows:
            raise KeyNotUnique(rows=table.num_rows - len(numbers))
        return cls(table, tuple(columns), numbers)


async def find(store: Store, side: Side, wanted: KeyedTable) -> dict[bytes, int]:
    """The numbers of the rows of a split that have these keys, by the keys' digests.

    Raises:
        KeyNotUnique: two rows have one of them.
    """
    places: dict[bytes, int] = {}
    search = _Search(side, wanted)
    row = 0
    while row < side.row_count:
        async with store.transaction() as tx:
            tree = side.split.tree
            chunks = await tx.list_chunks(tree, row, side.row_count, _CHUNKS_AT_ONCE, with_statistics=True)
        for chunk in chunks:
            if search.may_hold(chunk):
                await search.into(chunk, places)
        row = chunks[-1].end_row
    return places


class _Search:
    """Looks for keys in one chunk after the other."""

    def __init__(self, side: Side, wanted: KeyedTable) -> None:
        self._side = side
        self._wanted = wanted
        self._values = {
            name: pc.unique(wanted.rows.column(name).combine_chunks().cast(side.schema.field(name).type, safe=False))
            for name in wanted.columns
        }
        self._ordered = {name: sorted(_comparable(values)) for name, values in self._values.items()}

    def may_hold(self, chunk: Chunk) -> bool:
        """Whether one of the keys may be in the chunk, as far as its statistics tell."""
        for name, known in statistics.parse(chunk.statistics).items():
            ordered: Sequence[Any] = self._ordered.get(name, ())
            if not ordered:
                continue
            if known.minimum is not None and bisect.bisect_left(ordered, known.minimum) == len(ordered):
                return False
            if known.maximum is not None and bisect.bisect_right(ordered, known.maximum) == 0:
                return False
            if known.minimum is not None and known.maximum is not None:
                between = bisect.bisect_right(ordered, known.maximum) - bisect.bisect_left(ordered, known.minimum)
                if not between:
                    return False
        return True

    async def into(self, chunk: Chunk, places: dict[bytes, int]) -> None:
        """Note the rows of the chunk that have keys wanted."""
        keys = await self._side.rows(chunk.first_row, chunk.row_count, self._wanted.columns)
        for row, digest in await asyncio.to_thread(self._among, keys):
            if digest not in self._wanted.numbers:
                continue
            if digest in places:
                raise KeyNotUnique(row=places[digest], other_row=chunk.first_row + row)
            places[digest] = chunk.first_row + row

    def _among(self, keys: pa.Table) -> list[tuple[int, bytes]]:
        """The rows each of whose key columns has a value that is wanted, with their keys' digests."""
        found = None
        for name, values in self._values.items():
            hits = pc.is_in(keys.column(name), value_set=values)
            found = hits if found is None else pc.and_(found, hits)
        rows = pc.indices_nonzero(found)
        return list(zip(rows.to_pylist(), _digests(keys.take(rows)), strict=True))


def _check_type(column: str, kind: pa.DataType) -> None:
    """Go on if two values of the type are equal exactly where their bytes are, and can be compared."""
    kind = kind.value_type if _is.is_dictionary(kind) else kind
    usable = (
        _is.is_integer, _is.is_boolean, _is.is_string, _is.is_large_string, _is.is_string_view, _is.is_binary,
        _is.is_large_binary, _is.is_binary_view, _is.is_fixed_size_binary, _is.is_date, _is.is_timestamp,
        _is.is_time, _is.is_decimal,
    )  # fmt: skip
    if not any(is_kind(kind) for is_kind in usable):
        raise KeyTypeUnsupported(column=column, type=str(kind))


def _comparable(values: pa.Array) -> list[Any]:
    """The values as ``rows.statistics`` has its bounds."""
    kind = values.type
    if _is.is_temporal(kind):
        return [value.value for value in values]
    return list(values.to_pylist())


def _digests(keys: pa.Table) -> list[bytes]:
    joined = key_digests(keys).tobytes()
    return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]

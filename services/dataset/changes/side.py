"""One split of one commit, as comparisons look at it: what is in some of its rows, wherever they are."""

import asyncio
import bisect
import collections
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.tree import DIGEST_BYTES, RowHasher
from services.dataset.datasets import read_schema
from services.dataset.model import Chunk, RowRange, Split
from services.dataset.rows.digests import digests_of
from services.dataset.rows.get import slices_of
from services.dataset.rows.mapped import MappedPacks
from services.dataset.store import Store
from services.dataset.trees.align import Numbers

SPAN_ROWS = 1 << 16
"""Rows that are looked at together."""
_CHUNKS_AHEAD = 16
_REMEMBERED_CHUNKS = 64


class Side:
    """A split, looked into only where it is asked for. For the event loop."""

    def __init__(self, split: Split, store: Store, packs: MappedPacks) -> None:
        self.split = split
        self._store = store
        self._packs = packs
        self._chunks: list[Chunk] = []
        self._digests: collections.OrderedDict[bytes, bytes] = collections.OrderedDict()

    @property
    def row_count(self) -> int:
        """Rows of the split."""
        return self.split.tree.row_count

    @property
    def schema(self) -> pa.Schema:
        """The columns, as packs hold them."""
        return read_schema(self.split).remove_metadata()

    async def chunk_at(self, row: int) -> Chunk:
        """The chunk that holds a row."""
        (chunk,) = await self._holding(row, 1)
        return chunk

    async def digests(self, first: int, count: int) -> bytes:
        """The digests of rows, 32 bytes each, checked against those of their chunks."""
        chunks = await self._holding(first, count)
        unknown = {chunk.digest: chunk for chunk in chunks if chunk.digest not in self._digests}
        async for window in digests_of(list(unknown.values()), self._packs):
            self._digests |= {digested.chunk.digest: digested.row_digests for digested in window}
        parts = []
        for chunk in chunks:
            start = max(0, first - chunk.first_row) * DIGEST_BYTES
            end = min(chunk.row_count, first + count - chunk.first_row) * DIGEST_BYTES
            parts.append(self._digests[chunk.digest][start:end])
            self._digests.move_to_end(chunk.digest)
        while len(self._digests) > _REMEMBERED_CHUNKS:
            self._digests.popitem(last=False)
        return b"".join(parts)

    async def rows(self, first: int, count: int, columns: Sequence[str] = ()) -> pa.Table:
        """Rows, or some columns of them, that lie in the mapped packs."""
        schema = pa.schema([self.schema.field(name) for name in columns]) if columns else self.schema
        slices = list(slices_of(await self._holding(first, count), RowRange(first, count)))
        opened = await self._packs.open(slice_.pack for slice_ in slices)
        found = [opened[slice_.pack].rows(slice_.block, slice_.row, slice_.row_count) for slice_ in slices]
        batches = [
            pa.RecordBatch.from_arrays([rows.column(name) for name in schema.names], schema=schema) for rows in found
        ]
        return pa.Table.from_batches(batches, schema)

    async def digests_at(self, numbers: Numbers) -> npt.NDArray[np.uint8]:
        """The digests of the rows of these numbers, one below the other."""
        order = np.argsort(numbers, kind="stable")
        found = np.empty((len(numbers), DIGEST_BYTES), np.uint8)
        for span in _spans(numbers[order]):
            rows = numbers[order[span]]
            first = int(rows[0])
            digests = await self.digests(first, int(rows[-1]) - first + 1)
            found[order[span]] = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)[rows - first]
        return found

    async def keys_at(self, numbers: Numbers, columns: Sequence[str]) -> npt.NDArray[np.uint8]:
        """A digest of the key of each of the rows of these numbers, one below the other."""
        order = np.argsort(numbers, kind="stable")
        found = np.empty((len(numbers), DIGEST_BYTES), np.uint8)
        for span in _spans(numbers[order]):
            table = await self._rows_at(numbers[order[span]], columns)
            found[order[span]] = await asyncio.to_thread(key_digests, table)
        return found

    async def values_at(self, numbers: Numbers, columns: Sequence[str]) -> list[str]:
        """The values of the rows of these numbers as JSON arrays; what JSON has no type for is its text.

        Times with a time zone are told in UTC.
        """
        found: dict[int, str] = {}
        for span in _spans(ordered := np.sort(numbers)):
            rows = _told(await self._rows_at(ordered[span], columns)).to_pylist()
            for number, row in zip(ordered[span].tolist(), rows, strict=True):
                found[number] = json.dumps([row[name] for name in columns], default=_text, ensure_ascii=False)
        return [found[number] for number in numbers.tolist()]

    async def _rows_at(self, ordered: Numbers, columns: Sequence[str]) -> pa.Table:
        first = int(ordered[0])
        rows = await self.rows(first, int(ordered[-1]) - first + 1, columns)
        return rows if rows.num_rows == len(ordered) else rows.take(pa.array(ordered - first))

    async def _holding(self, first: int, count: int) -> list[Chunk]:
        if not count:
            return []
        if not (self._chunks and self._chunks[0].first_row <= first and first + count <= self._chunks[-1].end_row):
            await self._look(first, first + count)
        begin = bisect.bisect_right(self._chunks, first, key=lambda chunk: chunk.first_row) - 1
        end = bisect.bisect_left(self._chunks, first + count, key=lambda chunk: chunk.first_row)
        return self._chunks[begin:end]

    async def _look(self, first: int, end: int) -> None:
        """Find the chunks of rows, and some behind them, as who goes on will want those next."""
        async with self._store.transaction() as tx:
            self._chunks = list(await tx.list_chunks(self.split.tree, first, self.row_count, _CHUNKS_AHEAD))
            if (seen := self._chunks[-1].end_row) < end:
                self._chunks += await tx.list_chunks(self.split.tree, seen, end, None)


def key_digests(keys: pa.Table) -> npt.NDArray[np.uint8]:
    """A digest of each row of a table that has the key columns alone, one below the other."""
    hasher = RowHasher(keys.schema)
    digests = b"".join(piece.digests for batch in keys.to_batches() for piece in hasher.hash(batch))
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)


def _spans(ordered: Numbers) -> Iterator[slice]:
    """Cuts increasing numbers into runs of which each lies within a few rows."""
    start = 0
    while start < len(ordered):
        end = int(np.searchsorted(ordered, ordered[start] + SPAN_ROWS))
        yield slice(start, end)
        start = end


def _told(rows: pa.Table) -> pa.Table:
    """Times as texts: Python's calendar has fewer years than Arrow's, and a machine may not know the time zone."""
    for number, field in enumerate(rows.schema):
        values, kind = rows.column(number), field.type
        if pa.types.is_timestamp(kind):
            texts = values.cast(pa.timestamp(kind.unit)).cast(pa.string())
            rows = rows.set_column(
                number, field.name, pc.binary_join_element_wise(texts, "Z", "") if kind.tz else texts
            )
        elif pa.types.is_temporal(kind):
            rows = rows.set_column(number, field.name, values.cast(pa.string()))
    return rows


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

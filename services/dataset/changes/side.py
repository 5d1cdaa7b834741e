"""One split of one commit, as comparisons look at it: chunks, digests of rows, rows."""

import asyncio
import bisect
from collections.abc import Sequence

import pyarrow as pa

from headwater.tree import DIGEST_BYTES, RowHasher
from services.dataset.model import Chunk, RowRange, Split
from services.dataset.rows.digests import digests_of
from services.dataset.rows.get import slices_of
from services.dataset.rows.mapped import MappedPacks
from services.dataset.store import Transaction


class Side:
    """A split's chunks and, on request, what is in them. For the event loop."""

    def __init__(self, split: Split, chunks: Sequence[Chunk], packs: MappedPacks) -> None:
        self.split = split
        self.chunks = chunks
        self._packs = packs

    @classmethod
    async def of(cls, tx: Transaction, split: Split, packs: MappedPacks) -> "Side":
        """The split with its chunks."""
        chunks = await tx.list_chunks(split.tree, 0, split.tree.row_count, None) if split.tree.row_count else ()
        return cls(split, chunks, packs)

    @property
    def row_count(self) -> int:
        """Rows of the split."""
        return self.chunks[-1].first_row + self.chunks[-1].row_count if self.chunks else 0

    async def digests(self, first: int, count: int) -> list[bytes]:
        """The digests of rows, 32 bytes each, checked against those of their chunks."""
        chunks = self._holding(first, count)
        found: list[bytes] = []
        async for window in digests_of(chunks, self._packs):
            for digested in window:
                start = max(0, first - digested.chunk.first_row)
                end = min(digested.chunk.row_count, first + count - digested.chunk.first_row)
                digests = digested.row_digests
                found.extend(digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] for at in range(start, end))
        return found

    async def rows(self, first: int, count: int, columns: Sequence[str] = ()) -> pa.Table:
        """Rows, or some columns of them, that lie in the mapped packs."""
        batches = []
        for slice_ in slices_of(self._holding(first, count), RowRange(first, count)):
            pack = (await self._packs.open([slice_.pack]))[slice_.pack]
            batch = pack.rows(slice_.block, slice_.row, slice_.row_count)
            batches.append(batch.select(list(columns)) if columns else batch)
        schema = pa.ipc.read_schema(pa.py_buffer(self.split.arrow_schema)).remove_metadata()
        empty = pa.schema([schema.field(name) for name in columns]) if columns else schema
        return pa.Table.from_batches(batches) if batches else empty.empty_table()

    async def keys(self, first: int, count: int, columns: Sequence[str]) -> list[bytes]:
        """A digest of the key of each row."""
        table = await self.rows(first, count, columns)
        return await asyncio.to_thread(key_digests, table)

    def _holding(self, first: int, count: int) -> list[Chunk]:
        if not count:
            return []
        begin = bisect.bisect_right(self.chunks, first, key=lambda chunk: chunk.first_row) - 1
        end = bisect.bisect_left(self.chunks, first + count, key=lambda chunk: chunk.first_row)
        return list(self.chunks[begin:end])


def key_digests(keys: pa.Table) -> list[bytes]:
    """A digest of each row of a table that has the key columns alone."""
    hasher = RowHasher(keys.schema)
    digests = b"".join(piece.digests for batch in keys.to_batches() for piece in hasher.hash(batch))
    return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]

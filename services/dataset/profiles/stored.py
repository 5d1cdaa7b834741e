"""Rows that are stored, as the source of a profile."""

from collections.abc import AsyncIterator, Sequence

import pyarrow as pa

from chassis.filters.filter import Filter
from services.dataset.datasets import read_schema
from services.dataset.model import Chunk, RowRange, Split
from services.dataset.profiles.sources import Window
from services.dataset.rows.get import slices_of
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.statistics import parse
from services.dataset.store import Store

_WINDOW_BYTES = 4 << 20
_CHUNKS = 2000


class StoredSplit:
    """See SplitSource."""

    def __init__(self, store: Store, packs: MappedPacks, split: Split) -> None:
        self.name = split.name
        self.schema = read_schema(split)
        self._store = store
        self._packs = packs
        self._tree = split.tree

    async def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """See SplitSource. Chunks are cut by content, so windows of whole chunks are the same wherever they lie."""
        window: list[Chunk] = []
        size_bytes = 0
        async for chunk in self._chunks(with_statistics=condition is not None):
            window.append(chunk)
            size_bytes += chunk.size_bytes
            if size_bytes >= _WINDOW_BYTES:
                yield await self._window(window, columns, condition)
                window, size_bytes = [], 0
        if window:
            yield await self._window(window, columns, condition)

    async def _chunks(self, *, with_statistics: bool) -> AsyncIterator[Chunk]:
        row, tree = 0, self._tree
        while row < tree.row_count:
            async with self._store.transaction() as tx:
                chunks = await tx.list_chunks(tree, row, tree.row_count, _CHUNKS, with_statistics=with_statistics)
            for chunk in chunks:
                yield chunk
            row = chunks[-1].first_row + chunks[-1].row_count

    async def _window(self, chunks: Sequence[Chunk], columns: Sequence[str], condition: Filter | None) -> Window:
        wanted = [chunk for chunk in chunks if condition is None or condition.may_match(parse(chunk.statistics))]
        slices = [
            slice_ for chunk in wanted for slice_ in slices_of([chunk], RowRange(chunk.first_row, chunk.row_count))
        ]
        opened = await self._packs.open(slice_.pack for slice_ in slices)
        batches = [opened[each.pack].rows(each.block, each.row, each.row_count) for each in slices]
        schema = pa.schema([self.schema.field(name) for name in columns])
        arrays = [pa.chunked_array([batch.column(field.name) for batch in batches], field.type) for field in schema]
        return Window(
            pa.table(arrays, schema=schema),
            sum(chunk.row_count for chunk in chunks),
            sum(chunk.size_bytes for chunk in chunks),
        )

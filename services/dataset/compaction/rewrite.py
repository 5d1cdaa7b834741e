"""The live chunks of sparse packs, taken out of them and laid into a new one; nothing here knows of the catalogue.

All that is written is digested again, from the file that it has become: the packs that it comes from are removed later.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from chassis.blobs import BlobWriter
from headwater import tree
from headwater.tree import RowHasher, chunk_root
from services.dataset.compaction.store import LiveChunk, SparsePack
from services.dataset.errors import PackCorrupt
from services.dataset.rows.layout import Layout
from services.dataset.rows.mapped import MappedPack
from services.dataset.rows.packs import PackWriter

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread and wait for its end, also when cancelled: what it uses may be closed after this."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        # Its failure is no news to whoever has cancelled.
        task.exception()
        raise


def taken_out(sparse: SparsePack, pack: MappedPack) -> list[tree.Chunk]:
    """The live chunks of a pack; their rows stay where they are.

    Raises:
        PackCorrupt: the rows' digests are not those of the chunk.
    """
    return [_taken_out(chunk, pack) for chunk in sparse.chunks]


def _taken_out(chunk: LiveChunk, pack: MappedPack) -> tree.Chunk:
    place = chunk.placement
    row_digests = pack.row_digests(place.block, place.block_row, chunk.row_count)
    if chunk_root(row_digests) != chunk.digest:
        raise PackCorrupt(pack=pack.digest)
    return tree.Chunk(
        batches=(pack.rows(place.block, place.block_row, chunk.row_count),),
        digest=chunk.digest,
        row_digests=row_digests,
        row_count=chunk.row_count,
        size_bytes=chunk.size_bytes,
        # The catalogue keeps what it knows of how the chunk ends and begins.
        ends_naturally=False,
        first_row_bytes=0,
    )


class NewPack:
    """Chunks of sparse packs of one layout, laid into a new pack. For one thread at a time."""

    def __init__(self, blob: BlobWriter, max_bytes: int) -> None:
        self._blob = blob
        self._max_bytes = max_bytes
        self._layout: Layout | None = None
        self._writer: PackWriter | None = None
        self.taken: list[SparsePack] = []
        """What it has the live chunks of."""

    def add(self, sparse: SparsePack, pack: MappedPack) -> bool:
        """Lay down the live chunks of a pack, unless there is no room for them; for those of the first there is.

        Raises:
            PackCorrupt: nothing of the pack was laid down.
            BlobStoreFull
        """
        chunks = taken_out(sparse, pack)
        if self._writer is None or self._layout is None:
            # As the rows are stored, whatever this release would make of their schema.
            self._layout = Layout(pack.schema, pack.schema, sparse.layout)
            self._writer = PackWriter(self._layout, self._blob)
        elif not self._is_room(chunks) or not pack.schema.equals(self._layout.stored, check_metadata=True):
            return False
        for chunk in chunks:
            self._writer.add(chunk)
        self.taken.append(sparse)
        return True

    def _is_room(self, chunks: Sequence[tree.Chunk]) -> bool:
        size_bytes = self._writer.size_bytes if self._writer is not None else 0
        for chunk in chunks:
            size_bytes += len(chunk.row_digests) + sum(batch.nbytes for batch in chunk.batches)
        return size_bytes <= self._max_bytes

    def finish(self) -> list[LiveChunk]:
        """Write what is left; returns where the chunks lie, in a pack that has no name yet."""
        if self._writer is None:
            return []
        placed = [place.within("") for place in self._writer.finish()]
        return [
            LiveChunk(each.chunk.digest, each.chunk.row_count, each.chunk.size_bytes, each.placement) for each in placed
        ]


def named(chunks: Sequence[LiveChunk], pack: str) -> list[LiveChunk]:
    """The chunks as they lie in the pack of this name."""
    return [dataclasses.replace(chunk, placement=dataclasses.replace(chunk.placement, pack=pack)) for chunk in chunks]


def check(chunks: Sequence[LiveChunk], pack: MappedPack) -> None:
    """Return if the pack holds these chunks and their rows' digests, or raise PackCorrupt."""
    hasher = RowHasher(pack.schema)
    for chunk in chunks:
        block, row, count = chunk.placement.block, chunk.placement.block_row, chunk.row_count
        digests = b"".join(piece.digests for piece in hasher.hash(pack.rows(block, row, count)))
        if chunk_root(digests) != chunk.digest or pack.row_digests(block, row, count) != digests:
            raise PackCorrupt(pack=pack.digest)

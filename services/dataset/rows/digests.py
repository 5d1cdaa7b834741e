"""The digests of stored rows, and where a row is: they are read from beside the rows, none is computed.

What is read is checked before it is believed: the root of a chunk's row digests must be the chunk's digest. So an
answer, also that a row is not there, rests on nothing but the tree.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence

from headwater.tree import chunk_root
from headwater.tree.proofs import positions
from services.dataset.errors import PackCorrupt
from services.dataset.model import Chunk
from services.dataset.rows.get import WINDOW_PACKS
from services.dataset.rows.mapped import MappedPack, MappedPacks


@dataclasses.dataclass(frozen=True, slots=True)
class Digested:
    """A chunk with the digests of its rows."""

    number: int
    """Its place in the sequence that was given."""
    chunk: Chunk
    row_digests: bytes


async def digests_of(chunks: Sequence[Chunk], packs: MappedPacks) -> AsyncIterator[list[Digested]]:
    """The chunks with the digests of their rows, in order, as many at a time as lie in a few packs.

    Raises:
        DataLoss: a pack is not what was stored.
    """
    start = 0
    while start < len(chunks):
        end, names = start, dict[str, None]()
        while end < len(chunks) and (chunks[end].placement.pack in names or len(names) < WINDOW_PACKS):
            names[chunks[end].placement.pack] = None
            end += 1
        opened = await packs.open(names)
        window = list(enumerate(chunks[start:end], start))
        yield await asyncio.to_thread(lambda: [_digested(number, chunk, opened) for number, chunk in window])  # noqa: B023
        start = end


async def find(chunks: Sequence[Chunk], row_digest: bytes, packs: MappedPacks) -> AsyncIterator[tuple[Digested, int]]:
    """Each chunk that holds the row, with a place in it: every place in every chunk, in order."""
    async for window in digests_of(chunks, packs):
        for digested in window:
            for position in positions(digested.row_digests, row_digest):
                yield digested, position


def _digested(number: int, chunk: Chunk, opened: dict[str, MappedPack]) -> Digested:
    place = chunk.placement
    pack = opened[place.pack]
    row_digests = pack.row_digests(place.block, place.block_row, chunk.row_count)
    if chunk_root(row_digests) != chunk.digest:
        raise PackCorrupt(pack=pack.digest)
    return Digested(number, chunk, row_digests)

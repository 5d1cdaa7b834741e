"""Pack files: many chunks in one immutable file.

A pack is an Arrow IPC file; its footer is its index, so any Arrow library can open it. Each of its record batches, a
block, holds whole chunks side by side until there are about 2 MiB of them, which is what Flight sends fastest: readers
get blocks, or slices of them, without a copy. Where in which block a chunk lies is kept in the catalogue.

The file's metadata holds an id of its own, so that no two writers ever make the same file: what one leaves behind can
be collected without asking whether another has just stored the same bytes.
"""

import dataclasses
import hashlib

import pyarrow as pa

from chassis.ids import new_id
from headwater import tree
from services.dataset.model import Placement
from services.dataset.rows.layout import Layout
from services.dataset.store import NewChunk, PlacedChunk

BLOCK_TARGET_BYTES = 2 << 20
_BLOCK_MAX_BYTES = 4 << 20
# Of the IPC file format: magic, schema and footer; and what the footer has for each block.
_OVERHEAD_BYTES = 8 << 10
_FOOTER_BYTES_PER_BLOCK = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack."""

    data: pa.Buffer
    places: tuple[tuple[NewChunk, int, int], ...]
    """Each chunk with its block and its first row within the block."""

    def digest(self) -> str:
        """SHA-256 of the file: its name. Takes a while, without the interpreter's lock."""
        return tree.digest_text(hashlib.sha256(self.data).digest())

    def chunks(self, digest: str) -> list[PlacedChunk]:
        """The chunks as the catalogue keeps them."""
        return [PlacedChunk(chunk, Placement(digest, block, row)) for chunk, block, row in self.places]


class PackBuilder:
    """Lays chunks into packs of at most ``max_bytes``; a block that is larger by itself has a pack to itself.

    Two buffers take turns, so that no memory is fetched from the system, and cleared, for each pack: a pack's data is
    good until the second one after it is begun.
    """

    def __init__(self, layout: Layout, max_bytes: int) -> None:
        self._layout = layout
        self._max_bytes = max_bytes
        self._buffers: list[pa.Buffer] = []
        self._open: _OpenPack | None = None
        self._waiting: list[tuple[NewChunk, list[pa.RecordBatch]]] = []
        self._waiting_bytes = 0

    def add(self, chunk: tree.Chunk) -> list[Pack]:
        """Lay down the next chunk; returns the packs that are full now."""
        batches = [batch.cast(self._layout.stored) for batch in chunk.batches]
        size_bytes = sum(batch.nbytes for batch in batches)
        full = self._write_block() if self._waiting_bytes + size_bytes > _BLOCK_MAX_BYTES else []
        self._waiting.append((NewChunk(chunk.digest, chunk.row_count, chunk.size_bytes), batches))
        self._waiting_bytes += size_bytes
        return full + (self._write_block() if self._waiting_bytes >= BLOCK_TARGET_BYTES else [])

    def finish(self) -> list[Pack]:
        """The packs that were not full yet."""
        return self._write_block() + self._close()

    def _write_block(self) -> list[Pack]:
        if not self._waiting:
            return []
        block = pa.concat_batches([batch for _, batches in self._waiting for batch in batches])
        chunks = [chunk for chunk, _ in self._waiting]
        self._waiting, self._waiting_bytes = [], 0
        full: list[Pack] = []
        if self._open is not None and not self._open.has_room_for(block):
            full = self._close()
        if self._open is None:
            self._open = _OpenPack(self._layout, self._buffer(block))
        self._open.write(block, chunks)
        return full

    def _close(self) -> list[Pack]:
        if self._open is None:
            return []
        closed, self._open = self._open.close(), None
        return [closed]

    def _buffer(self, block: pa.RecordBatch) -> pa.Buffer:
        size_bytes = max(self._max_bytes, pa.ipc.get_record_batch_size(block) + _OVERHEAD_BYTES)
        if len(self._buffers) < 2:
            self._buffers.append(pa.allocate_buffer(size_bytes))
        elif self._buffers[0].size < size_bytes:
            self._buffers[0] = pa.allocate_buffer(size_bytes)
            self._buffers.reverse()
        else:
            self._buffers.reverse()
        return self._buffers[-1]


class _OpenPack:
    """A pack that is being filled."""

    def __init__(self, layout: Layout, buffer: pa.Buffer) -> None:
        self._buffer = buffer
        self._sink = pa.FixedSizeBufferWriter(buffer)
        schema = layout.stored.with_metadata({"headwater.pack": new_id()})
        self._writer = pa.ipc.new_file(self._sink, schema)
        self._overhead_bytes = _OVERHEAD_BYTES + schema.serialize().size
        self._blocks = 0
        self._places: list[tuple[NewChunk, int, int]] = []

    def has_room_for(self, block: pa.RecordBatch) -> bool:
        footer_bytes = self._overhead_bytes + _FOOTER_BYTES_PER_BLOCK * self._blocks
        return bool(self._sink.tell() + pa.ipc.get_record_batch_size(block) + footer_bytes <= self._buffer.size)

    def write(self, block: pa.RecordBatch, chunks: list[NewChunk]) -> None:
        row = 0
        for chunk in chunks:
            self._places.append((chunk, self._blocks, row))
            row += chunk.row_count
        self._writer.write_batch(block)
        self._blocks += 1

    def close(self) -> Pack:
        self._writer.close()
        size_bytes = self._sink.tell()
        self._sink.close()
        return Pack(self._buffer.slice(0, size_bytes), tuple(self._places))

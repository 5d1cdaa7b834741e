"""Pack files: many chunks in one immutable file.

A pack is an Arrow IPC file; its footer is its index, so any Arrow library can open it. Each of its record batches, a
block, holds whole chunks side by side until there are about 2 MiB of them, which is what Flight sends fastest: readers
get blocks, or slices of them, without a copy. Where in which block a chunk lies is kept in the catalogue. The last
column has the rows' digests (``layout.ROW_DIGEST``), so that edits, differences and proofs need not compute them again.

The file's metadata holds an id of its own, so that no two writers ever make the same file: what one leaves behind can
be collected without asking whether another has just stored the same bytes.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import pyarrow as pa

from chassis.ids import new_id
from headwater import tree
from services.dataset.model import Placement
from services.dataset.rows import statistics
from services.dataset.rows.layout import Layout
from services.dataset.store import NewChunk, PlacedChunk

BLOCK_TARGET_BYTES = 2 << 20
_BLOCK_MAX_BYTES = 4 << 20


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


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    """A chunk that is in no block yet."""

    chunk: NewChunk
    batches: list[pa.RecordBatch]
    row_digests: bytes


def describe(chunk: tree.Chunk, stored: Sequence[pa.RecordBatch]) -> NewChunk:
    """What the catalogue keeps of a chunk whose rows, as they are to be stored, are ``stored``."""
    return NewChunk(
        digest=chunk.digest,
        row_count=chunk.row_count,
        size_bytes=chunk.size_bytes,
        ends_naturally=chunk.ends_naturally,
        first_row_bytes=chunk.first_row_bytes,
        statistics=statistics.collect(stored),
    )


class PackBuilder:
    """Lays chunks into packs. Holds one pack, at most ``max_bytes`` and one block, in memory."""

    def __init__(self, layout: Layout, max_bytes: int) -> None:
        self._layout = layout
        self._max_bytes = max_bytes
        self._begin()

    def add(self, chunk: tree.Chunk) -> Pack | None:
        """Lay down the next chunk; returns the pack before it if that is full now."""
        batches = [batch.cast(self._layout.stored) for batch in chunk.batches]
        size_bytes = sum(batch.nbytes for batch in batches) + len(chunk.row_digests)
        full = None
        if self._sink.tell() + self._waiting_bytes + size_bytes > self._max_bytes and self._chunks_so_far:
            full = self.finish()
        if self._waiting and self._waiting_bytes + size_bytes > _BLOCK_MAX_BYTES:
            self._write_block()
        self._waiting.append(_Waiting(describe(chunk, batches), batches, chunk.row_digests))
        self._waiting_bytes += size_bytes
        if self._waiting_bytes >= BLOCK_TARGET_BYTES:
            self._write_block()
        return full

    def finish(self) -> Pack | None:
        """The pack that is under way, if it has any chunks."""
        if not self._chunks_so_far:
            return None
        self._write_block()
        self._writer.close()
        pack = Pack(self._sink.getvalue(), tuple(self._places))
        self._begin()
        return pack

    @property
    def _chunks_so_far(self) -> bool:
        return bool(self._places or self._waiting)

    def _begin(self) -> None:
        self._sink = pa.BufferOutputStream()
        self._schema = self._layout.packed.with_metadata({"headwater.pack": new_id()})
        self._writer = pa.ipc.new_file(self._sink, self._schema)
        self._blocks = 0
        self._places: list[tuple[NewChunk, int, int]] = []
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def _write_block(self) -> None:
        if not self._waiting:
            return
        row = 0
        for waiting in self._waiting:
            self._places.append((waiting.chunk, self._blocks, row))
            row += waiting.chunk.row_count
        rows = pa.concat_batches([batch for waiting in self._waiting for batch in waiting.batches])
        digests = pa.py_buffer(b"".join([waiting.row_digests for waiting in self._waiting]))
        digest_column = pa.Array.from_buffers(pa.binary(tree.DIGEST_BYTES), row, [None, digests])
        self._writer.write_batch(pa.RecordBatch.from_arrays([*rows.columns, digest_column], schema=self._schema))
        self._blocks += 1
        self._waiting, self._waiting_bytes = [], 0

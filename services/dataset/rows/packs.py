"""Pack files: many chunks in one immutable file.

A pack is an Arrow IPC file; its footer is its index, so any Arrow library can open it. Each of its record batches, a
block, holds whole chunks side by side until there are about 2 MiB of them, which is what Flight sends fastest: readers
get blocks, or slices of them, without a copy. Where in which block a chunk lies is kept in the catalogue. The last
column has the rows' digests (``layout.ROW_DIGEST``), so that edits, differences and proofs need not compute them again.

The file's metadata holds an id of its own, so that no two writers ever make the same file: what one leaves behind can
be collected without asking whether another has just stored the same bytes.
"""

import dataclasses
import io
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from chassis.ids import new_id
from headwater import tree
from services.dataset.model import Placement
from services.dataset.rows import statistics
from services.dataset.rows.layout import Layout, laid_out
from services.dataset.store import NewChunk, PlacedChunk

BLOCK_TARGET_BYTES = 2 << 20
_BLOCK_MIN_BYTES = 1 << 20
_BLOCK_MAX_BYTES = 4 << 20


class Sink(Protocol):
    """Where a pack's bytes go; a ``chassis.blobs.BlobWriter`` is one."""

    def write(self, data: memoryview, /) -> object:
        """Take the next bytes, which stay as they are only until this returns."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    """A chunk that is in no block yet."""

    chunk: NewChunk
    batches: list[pa.RecordBatch]
    row_digests: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where in its pack a chunk lies."""

    chunk: NewChunk
    block: int
    block_row: int

    def within(self, pack: str) -> PlacedChunk:
        """The chunk as the catalogue keeps it."""
        return PlacedChunk(self.chunk, Placement(pack, self.block, self.block_row))


class PackWriter:
    """Writes one pack, block by block; a block of a few MiB is all that it holds."""

    def __init__(self, layout: Layout, sink: Sink) -> None:
        self._layout = layout
        self._schema = layout.packed.with_metadata({"headwater.pack": new_id()})
        self._sink = _Stream(sink)
        self._writer = pa.ipc.new_file(self._sink, self._schema)
        self._blocks = 0
        self._places: list[Place] = []
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0  # of what readers get

    @property
    def size_bytes(self) -> int:
        """How large the file is, with what is not written yet and without its footer."""
        digests = sum(len(waiting.row_digests) for waiting in self._waiting)
        return self._sink.written + self._waiting_bytes + digests

    @property
    def may_end(self) -> bool:
        """Whether no block would become so small that it sends slowly."""
        return self._waiting_bytes == 0 or self._waiting_bytes >= _BLOCK_MIN_BYTES

    def add(self, chunk: tree.Chunk) -> NewChunk:
        """Lay down the next chunk; returns what the catalogue is to keep of it."""
        batches = [laid_out(batch, self._layout.stored) for batch in chunk.batches]
        size_bytes = sum(batch.nbytes for batch in batches)
        if self._waiting and self._waiting_bytes + size_bytes > _BLOCK_MAX_BYTES:
            self._write_block()
        described = describe(chunk, batches)
        self._waiting.append(_Waiting(described, batches, chunk.row_digests))
        self._waiting_bytes += size_bytes
        if self._waiting_bytes >= BLOCK_TARGET_BYTES:
            self._write_block()
        return described

    def finish(self) -> list[Place]:
        """Write what waits and the footer; returns where the chunks lie, in their order."""
        self._write_block()
        self._writer.close()
        return self._places

    def _write_block(self) -> None:
        if not self._waiting:
            return
        row = 0
        for waiting in self._waiting:
            self._places.append(Place(waiting.chunk, self._blocks, row))
            row += waiting.chunk.row_count
        rows = pa.concat_batches([batch for waiting in self._waiting for batch in waiting.batches])
        digests = pa.py_buffer(b"".join([waiting.row_digests for waiting in self._waiting]))
        digest_column = pa.Array.from_buffers(pa.binary(tree.DIGEST_BYTES), row, [None, digests])
        self._writer.write_batch(pa.RecordBatch.from_arrays([*rows.columns, digest_column], schema=self._schema))
        self._blocks += 1
        self._waiting, self._waiting_bytes = [], 0


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


class _Stream(io.RawIOBase):
    """A sink as a file that Arrow can write to. Arrow hands over its buffers as they are, without a copy."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self.written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._sink.write(view)
        self.written += view.nbytes
        return view.nbytes

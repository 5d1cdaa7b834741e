"""Cutting a stream of rows into chunks, where the rows themselves say."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.tree.format import CHUNK_MAX_BYTES, CHUNK_TARGET_BITS, DIGEST_BYTES
from headwater.tree.heads import ends_of
from headwater.tree.merkle import Node, Split, chunk_root, split_root
from headwater.tree.rows import RowDigests, RowHasher


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows that are stored, shared and verified together."""

    batches: tuple[pa.RecordBatch, ...]
    """The rows, as slices of the batches that they came in."""
    digest: bytes
    row_digests: bytes
    """32 bytes for each row."""
    row_count: int
    size_bytes: int
    """The sum of the rows' canonical encodings; their Arrow form has about the same size."""
    ends_naturally: bool
    """Whether its last row ends a chunk whatever follows; else the next row was too much for it, or there was none."""
    first_row_bytes: int
    """The size of its first row: what decides whether a chunk before it that does not end naturally had to end."""

    @property
    def node(self) -> Node:
        """The chunk as a leaf of its split's tree."""
        return Node(self.digest, self.row_count)

    def to_batch(self) -> pa.RecordBatch:
        """The rows as one batch; a copy when they came in several."""
        return self.batches[0] if len(self.batches) == 1 else pa.concat_batches(self.batches)


class ChunkBuilder:
    """Cuts the rows of one split, pushed in batches of any size, into chunks that depend on the rows alone.

    Holds the rows of one unfinished chunk (at most 8 MiB encoded) as slices of the pushed batches. After an error
    the builder is of no further use.

    Raises (here or in ``push``): what RowHasher raises.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._hasher = RowHasher(schema)
        self._reset()

    @property
    def schema_digest(self) -> bytes:
        """The digest of the canonical schema."""
        return self._hasher.schema_digest

    @property
    def is_between_chunks(self) -> bool:
        """Whether every row that was pushed is in a chunk that is complete."""
        return not self._batches

    def push(self, batch: pa.RecordBatch) -> list[Chunk]:
        """Take the next rows; returns the chunks that they complete, in order."""
        chunks: list[Chunk] = []
        for piece in self._hasher.hash(batch):
            self._cut(piece, chunks)
        return chunks

    def push_digested(self, rows: RowDigests) -> list[Chunk]:
        """As ``push``, of rows that a ``RowHasher`` of the same schema has digested."""
        chunks: list[Chunk] = []
        self._cut(rows, chunks)
        return chunks

    def finish(self) -> list[Chunk]:
        """The last chunk, if there are rows that no chunk has yet."""
        return [self._close(ends_naturally=False)] if self._batches else []

    def _cut(self, piece: RowDigests, chunks: list[Chunk]) -> None:
        ends, before = _natural_ends(piece), ends_of(piece.sizes)
        start = 0
        while start < piece.rows.num_rows:
            room = CHUNK_MAX_BYTES - self._size_bytes
            fits = int(np.searchsorted(before, before[start] + room, side="right")) - 1
            at = int(np.searchsorted(ends, start, side="right"))
            natural = int(ends[at]) if at < len(ends) else piece.rows.num_rows + 1
            end = min(natural, fits)
            self._take(piece, start, end, int(before[end] - before[start]))
            if end == natural or end < piece.rows.num_rows:
                chunks.append(self._close(ends_naturally=end == natural))
            start = end

    def _take(self, piece: RowDigests, start: int, end: int, size_bytes: int) -> None:
        if end > start:
            if not self._batches:
                self._first_row_bytes = int(piece.sizes[start])
            self._batches.append(piece.rows.slice(start, end - start))
            self._digests.append(piece.digests[start * DIGEST_BYTES : end * DIGEST_BYTES])
            self._size_bytes += size_bytes

    def _close(self, *, ends_naturally: bool) -> Chunk:
        digests = b"".join(self._digests)
        rows = len(digests) // DIGEST_BYTES
        root, first_row_bytes = chunk_root(digests), self._first_row_bytes
        chunk = Chunk(tuple(self._batches), root, digests, rows, self._size_bytes, ends_naturally, first_row_bytes)
        self._reset()
        return chunk

    def _reset(self) -> None:
        self._batches: list[pa.RecordBatch] = []
        self._digests: list[bytes] = []
        self._size_bytes = 0
        self._first_row_bytes = 0


def digest_split(name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Split:
    """The split that these rows make, without keeping any of them."""
    builder = ChunkBuilder(schema)
    nodes = [chunk.node for batch in batches for chunk in builder.push(batch)]
    root = split_root(nodes + [chunk.node for chunk in builder.finish()])
    return Split(name, root.digest, root.row_count)


def _natural_ends(piece: RowDigests) -> npt.NDArray[np.intp]:
    """The positions just after rows that end a chunk: digest / 2^64 < row_bytes / 2^20, in integers."""
    leading = np.frombuffer(piece.digests, ">u8")[:: DIGEST_BYTES // 8]
    below = (leading >> np.uint64(64 - CHUNK_TARGET_BITS)) < piece.sizes.astype(np.uint64)
    return np.flatnonzero(below) + 1

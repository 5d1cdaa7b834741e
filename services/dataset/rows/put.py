"""Putting the rows of one split, in three threads so that none waits for another's work:

    the stream's own      receives, and checks that what came is Arrow
    digests (PutStream)   rows → chunks
    stores (ChunkWriter)  asks what is stored already; the others to packs, packs to blobs

A client that cuts its rows itself sends some chunks by name. Nothing that it says of the rows is believed: rows that
come are digested and cut here, and chunks that come by name are asked for, with how they begin and end.
"""

import contextlib
import dataclasses
from collections.abc import Iterable
from typing import Any, TypeAlias

import pyarrow as pa

from chassis.relay import Relay
from headwater import tree
from headwater.errors import Cancelled, HeadwaterError
from services.dataset.model import Split, Tree
from services.dataset.rows.layout import Layout
from services.dataset.rows.writer import ChunkWriter, PutStore, Run
from services.dataset.store import NewChunk

_PIECE_BYTES = 8 << 20
_AHEAD_BYTES = 16 << 20
"""How far each thread may be ahead of the next."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredChunks:
    """Chunks that come next, without their rows."""

    digests: tuple[bytes, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkEnd:
    """The rows before it end a chunk."""


Step: TypeAlias = pa.RecordBatch | StoredChunks | ChunkEnd


@dataclasses.dataclass(frozen=True, slots=True)
class PutResult:
    """A split that is durable."""

    tree: Tree
    new_chunk_count: int
    """Chunks that had not been stored before."""


class PutStream:
    """Stores one stream as one split."""

    def __init__(self, schema: pa.Schema, store: PutStore, run: Run[Any], run_through: Run[Any] | None = None) -> None:
        """``run`` begins nothing for a client that went away; ``run_through``, if there is one, does.

        With it, what came until then is stored, though nothing lists it: the client may come again with the same rows.
        """
        self._store = store
        self._run = run
        self._keeps = run_through is not None
        self._cutter = tree.ChunkBuilder(schema)
        self._writer = ChunkWriter(store, run_through or run)

    def put(self, name: str, steps: Iterable[Step]) -> PutResult:
        """Store all rows as the split ``name``; when this returns they are durable. Batches are valid Arrow.

        Raises:
            MalformedRows, SchemaChanged, RowTooLarge: from the tree.
            What ChunkWriter raises.
        """
        self._run(self._store.touch())
        try:
            with (
                Relay("put-store", self._store_one, _AHEAD_BYTES) as stores,
                Relay[Step]("put-digest", lambda step: self._digest(step, stores), _AHEAD_BYTES) as digests,
            ):
                try:
                    for step in steps:
                        for piece in _bounded(step):
                            digests.send(piece, _weight(piece))
                except Cancelled:
                    self._keep_what_came(digests, stores)
                    raise
                digests.finish()
                self._send(self._cutter.finish(), stores)
                stores.finish()
            chunks = self._writer.finish()
        finally:
            self._writer.discard()
        split = Split(name, tree_of(chunks, self._store.layout), self._store.layout.served_bytes)
        # ``run`` begins nothing for a client that went away, whose stream ended early and looked complete.
        self._run(self._store.record(split, chunks))
        return PutResult(split.tree, self._writer.new_chunk_count)

    def _keep_what_came(self, *relays: Relay[Any]) -> None:
        """Store the chunks that are complete; that no more rows came does not make a chunk of the last ones."""
        # Nobody is there to be told of an error.
        with contextlib.suppress(HeadwaterError):
            for relay in relays:
                relay.finish()
            if self._keeps:
                self._writer.finish()

    def _digest(self, step: Step, stores: Relay[tree.Chunk | StoredChunks]) -> None:
        if isinstance(step, pa.RecordBatch):
            self._send(self._cutter.push(step), stores)
            return
        self._send(self._cutter.finish(), stores)
        if isinstance(step, StoredChunks):
            stores.send(step, _weight(step))

    @staticmethod
    def _send(chunks: list[tree.Chunk], stores: Relay[tree.Chunk | StoredChunks]) -> None:
        for chunk in chunks:
            stores.send(chunk, chunk.size_bytes)

    def _store_one(self, chunk: tree.Chunk | StoredChunks) -> None:
        if isinstance(chunk, StoredChunks):
            for digest in chunk.digests:
                self._writer.add_stored(digest)
        else:
            self._writer.add(chunk)


def _weight(step: Step) -> int:
    if isinstance(step, StoredChunks):
        return len(step.digests) * tree.DIGEST_BYTES
    return int(step.nbytes) if isinstance(step, pa.RecordBatch) else 1


def tree_of(chunks: list[NewChunk], layout: Layout) -> Tree:
    """The tree above a split's chunks."""
    root = tree.split_root(tree.Node(chunk.digest, chunk.row_count) for chunk in chunks)
    size_bytes = sum(chunk.size_bytes for chunk in chunks)
    return Tree(root.digest, layout.digest, root.row_count, size_bytes, len(chunks))


def _bounded(step: Step) -> Iterable[Step]:
    """Rows in pieces of a few MiB, so that what is made of them is bounded however much a client sends at once."""
    if not isinstance(step, pa.RecordBatch):
        return (step,)
    rows = max(1, step.num_rows * _PIECE_BYTES // max(1, step.nbytes))
    return (step.slice(start, rows) for start in range(0, step.num_rows, rows))

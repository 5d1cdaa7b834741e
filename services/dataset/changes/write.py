"""Writing a split with some of its rows replaced, at the cost of what is replaced.

New chunks are stored as those of a put are; the nodes above them come into the catalogue in the transaction that refers
to their root. So what ends early leaves only packs, which the collector finds by the upload's pins (promise 2).
"""

import asyncio
import dataclasses
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import pyarrow as pa

from chassis.blobs import Blobs
from services.dataset.changes.model import Edit
from services.dataset.changes.side import Side
from services.dataset.changes.splice import Recut, Replacement, Splicer
from services.dataset.datasets import read_schema
from services.dataset.model import Chunk, Split
from services.dataset.rows.layout import Layout
from services.dataset.rows.writer import ChunkWriter, PutLimits, PutStore, Run
from services.dataset.store import NewChunk, Store, Transaction
from services.dataset.trees.model import child_of
from services.dataset.trees.replace import Change, replace


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A split with changes whose chunks are durable, while nothing refers to it yet."""

    before: Split
    changes: tuple[Change, ...]
    new_chunk_count: int

    async def record(self, tx: Transaction, upload_uid: str) -> Split:
        """Make it a split of the upload, in which the one before still is stored.

        Raises:
            TreeGone, Collected: it is not.
        """
        tree, nodes = await replace(tx, self.before.tree, self.changes)
        split = dataclasses.replace(self.before, tree=tree)
        await tx.record_tree(upload_uid, split, nodes)
        return split


class SplitWriter:
    """Changes splits under one upload. Its methods are for a thread other than the event loop's, through ``run``."""

    def __init__(self, store: Store, blobs: Blobs, upload_uid: str, limits: PutLimits, run: Run[Any]) -> None:
        self._store = store
        self._blobs = blobs
        self._upload_uid = upload_uid
        self._limits = limits
        self._run = run

    def replace(self, side: Side, replacements: Iterable[Replacement]) -> Written:
        """Make the replacements, which come in order and do not overlap.

        Raises:
            RowOutOfRange, ColumnsDiffer, and what putting rows raises.
        """
        layout = Layout.of(read_schema(side.split))
        writer = ChunkWriter(PutStore(self._store, self._blobs, self._upload_uid, layout, self._limits), self._run)
        try:
            recuts = Splicer(_Old(side, self._run), layout.stored, writer).splice(replacements)
            chunks = writer.finish()
        finally:
            writer.discard()
        return Written(side.split, tuple(_changes(recuts, chunks)), writer.new_chunk_count)

    def merge(self, ours: Side, theirs: Side, edits: Iterable[Edit]) -> Written:
        """Put rows of theirs into our split."""
        rows = _Old(theirs, self._run)
        return self.replace(
            ours,
            (Replacement(edit.first, edit.count, rows.read(edit.theirs_first, edit.theirs_count)) for edit in edits),
        )


class _Old:
    """A side, for another thread: it asks for many rows at a time, and gives out as many as are wanted."""

    def __init__(self, side: Side, run: Run[Any]) -> None:
        self._side = side
        self._run = run
        self._chunk: Chunk | None = None
        self._first_row = 0
        self._rows: pa.Table | None = None

    @property
    def row_count(self) -> int:
        return self._side.row_count

    def chunk_at(self, row: int) -> Chunk:
        if self._chunk is None or not self._chunk.first_row <= row < self._chunk.end_row:
            self._chunk = self._run(self._side.chunk_at(row))
        return self._chunk

    def read(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        while count:
            if self._rows is None or not self._first_row <= first < self._first_row + self._rows.num_rows:
                chunk = self.chunk_at(first)
                self._first_row = chunk.first_row
                self._rows = self._run(self._side.rows(chunk.first_row, chunk.row_count))
            found = self._rows.slice(first - self._first_row, count)
            yield from found.to_batches()
            first, count = first + found.num_rows, count - found.num_rows


def _changes(recuts: Iterable[Recut], chunks: list[NewChunk]) -> Iterator[Change]:
    first = 0
    for recut in recuts:
        end = first + recut.chunk_count
        yield Change(recut.first_row, recut.end_row, tuple(child_of(chunk) for chunk in chunks[first:end]))
        first = end


def on_loop(loop: asyncio.AbstractEventLoop) -> Run[Any]:
    """Runs coroutines on the loop for a thread that works in its place."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return run

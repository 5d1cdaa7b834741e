"""Writing a split anew with some of its rows replaced, as a split of an upload."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import pyarrow as pa

from chassis.blobs import Blobs
from services.dataset.changes.model import Edit
from services.dataset.changes.side import Side
from services.dataset.changes.splice import Replacement, Splicer
from services.dataset.datasets import read_schema
from services.dataset.model import Split
from services.dataset.rows.layout import Layout
from services.dataset.rows.put import PutResult, tree_of
from services.dataset.rows.writer import ChunkWriter, PutLimits, PutStore, Run
from services.dataset.store import Store

_READ_ROWS = 1 << 16


class SplitChanges:
    """Changes splits of one upload. Its methods are for a thread other than the event loop's, through ``run``."""

    def __init__(self, store: Store, blobs: Blobs, upload_uid: str, limits: PutLimits, run: Run[Any]) -> None:
        self._store = store
        self._blobs = blobs
        self._upload_uid = upload_uid
        self._limits = limits
        self._run = run

    def replace(self, side: Side, replacements: Iterable[Replacement]) -> PutResult:
        """Record the split with the replacements made; when this returns it is durable.

        Raises:
            RowOutOfRange, and what putting rows raises.
        """
        schema = read_schema(side.split)
        layout = Layout.of(schema)
        store = PutStore(self._store, self._blobs, self._upload_uid, layout, self._limits)
        writer = ChunkWriter(store, self._run)
        try:
            splicer = Splicer(side.chunks, layout.stored, self._reader(side), writer)
            splicer.splice(replacements)
            chunks = writer.finish()
        finally:
            writer.discard()
        split = Split(side.split.name, tree_of(chunks, layout), side.split.arrow_schema)
        self._run(store.record(split, chunks))
        return PutResult(split.tree, writer.new_chunk_count)

    def merge(self, ours: Side, theirs: Side, edits: Iterable[Edit]) -> PutResult:
        """Record our split with rows of theirs in it."""
        read = self._reader(theirs)
        return self.replace(
            ours,
            (Replacement(edit.first, edit.count, read(edit.theirs_first, edit.theirs_count)) for edit in edits),
        )

    def _reader(self, side: Side) -> "_Reader":
        return _Reader(side, self._run)


class _Reader:
    """Rows of a split, a bounded number at a time."""

    def __init__(self, side: Side, run: Run[Any]) -> None:
        self._side = side
        self._run = run

    def __call__(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        for start in range(first, first + count, _READ_ROWS):
            rows = self._run(self._side.rows(start, min(_READ_ROWS, first + count - start)))
            yield from rows.to_batches()


def on_loop(loop: asyncio.AbstractEventLoop) -> Run[Any]:
    """Runs coroutines on the loop for a thread that works in its place."""

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    return run

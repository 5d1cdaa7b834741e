"""Putting the rows of one split.

    PutStream (the stream's own thread)   batches → chunks → packs
    PutStore (the event loop)             asks what is stored already; packs to blobs; chunks and split to the store

Promise 1: a pack's bytes are durable before its chunks are in the catalogue, and all chunks are before the split is.
Before that nothing lists the split; what a put that ends early leaves behind, the collector finds by the upload's pins.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import pyarrow as pa

from chassis.blobs import Blobs
from headwater import tree
from services.dataset.errors import Collected, UploadNotOpen
from services.dataset.model import Split, Tree
from services.dataset.rows.layout import Layout
from services.dataset.rows.packs import Pack, PackBuilder
from services.dataset.store import NewChunk, Store

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
"""Runs a coroutine on the event loop and waits for it, from another thread."""

_LOOK_UP_BYTES = 8 << 20
_WRITE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class PutLimits:
    """See the settings of the same names."""

    pack_max_bytes: int
    pack_write_timeout_s: float
    upload_ttl_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class PutResult:
    """A split that is durable."""

    tree: Tree
    new_chunk_count: int
    """Chunks that had not been stored before."""


class PutStore:
    """What a stream needs of the store and the blobs. At most one pack at a time is on its way to the blobs."""

    def __init__(self, store: Store, blobs: Blobs, upload_uid: str, layout: Layout, limits: PutLimits) -> None:
        self._store = store
        self._blobs = blobs
        self._upload_uid = upload_uid
        self._layout = layout
        self._limits = limits
        self._writing: asyncio.Task[None] | None = None

    async def find(self, digests: list[bytes]) -> frozenset[bytes]:
        """Those of the chunks that are stored already and now stay so."""
        async with self._store.transaction() as tx:
            await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
            return await tx.find_chunks(self._upload_uid, self._layout.digest, digests)

    async def write(self, pack: Pack) -> None:
        """Begin to store a pack, when the one before it is stored."""
        await self.wait()
        self._writing = asyncio.create_task(self._write(pack))
        # When the stream ends early nobody waits for it any more: it ends by itself, and its failure is no news.
        self._writing.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def wait(self) -> None:
        """Return when nothing is being stored any more."""
        if self._writing is not None:
            await self._writing

    async def record(self, split: Split, chunks: list[NewChunk]) -> None:
        """Make the rows the upload's."""
        async with self._store.transaction() as tx:
            await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
            await tx.record_split(self._upload_uid, split, chunks)

    async def _write(self, pack: Pack) -> None:
        digest = await asyncio.to_thread(pack.digest)
        # Noted before it is written: whatever happens in between, the collector knows of the file.
        async with self._store.transaction() as tx:
            await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
            await tx.begin_pack(self._upload_uid, digest, len(pack.data))
        async with asyncio.timeout(self._limits.pack_write_timeout_s):
            await self._blobs.put(_pieces(pack.data), expected_digest=digest)
        try:
            async with self._store.transaction() as tx:
                await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
                await tx.finish_pack(self._upload_uid, self._layout.digest, digest, pack.chunks(digest))
        except (UploadNotOpen, Collected):
            # The collector may have been here before the bytes were.
            await self._blobs.delete(digest)
            raise


class PutStream:
    """Cuts the batches of one stream into chunks and stores those that are new. For one thread."""

    def __init__(self, layout: Layout, schema: pa.Schema, store: PutStore, run: Run[Any], pack_max_bytes: int) -> None:
        self._layout = layout
        self._chunks = tree.ChunkBuilder(schema)
        self._packs = PackBuilder(layout, pack_max_bytes)
        self._store = store
        self._run = run
        self._waiting: list[tree.Chunk] = []
        self._waiting_bytes = 0
        self._seen: set[bytes] = set()
        self._all: list[NewChunk] = []
        self._new = 0

    def put(self, name: str, batches: Iterable[pa.RecordBatch]) -> PutResult:
        """Store all rows as the split ``name``; when this returns they are durable. ``batches`` are valid Arrow.

        Raises:
            MalformedRows, SchemaChanged, RowTooLarge: from the tree.
            UploadNotOpen, Collected
        """
        for batch in batches:
            for piece in _bounded(batch):
                self._take(self._chunks.push(piece))
        self._take(self._chunks.finish())
        self._flush()
        if last := self._packs.finish():
            self._run(self._store.write(last))
        self._run(self._store.wait())
        split = Split(name, self._tree(), self._layout.served_bytes)
        # ``run`` begins nothing for a client that went away, whose stream ended early and looked complete.
        self._run(self._store.record(split, self._all))
        return PutResult(split.tree, self._new)

    def _take(self, chunks: list[tree.Chunk]) -> None:
        for chunk in chunks:
            self._waiting.append(chunk)
            self._waiting_bytes += chunk.size_bytes
            if self._waiting_bytes >= _LOOK_UP_BYTES:
                self._flush()

    def _flush(self) -> None:
        """Ask about the waiting chunks in one go, and lay down those that are new."""
        asked = {chunk.digest for chunk in self._waiting} - self._seen
        new = asked - self._run(self._store.find(sorted(asked))) if asked else frozenset()
        self._seen |= asked
        for chunk in self._waiting:
            self._all.append(NewChunk(chunk.digest, chunk.row_count, chunk.size_bytes))
            if chunk.digest in new:
                new -= {chunk.digest}
                self._new += 1
                if full := self._packs.add(chunk):
                    self._run(self._store.write(full))
        self._waiting, self._waiting_bytes = [], 0

    def _tree(self) -> Tree:
        root = tree.split_root(tree.Node(chunk.digest, chunk.row_count) for chunk in self._all)
        size_bytes = sum(chunk.size_bytes for chunk in self._all)
        return Tree(root.digest, self._layout.digest, root.row_count, size_bytes, len(self._all))


def _bounded(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    """The batch in slices of a few MiB, so that what is made of them is bounded however much a client sends at once."""
    rows = max(1, batch.num_rows * _LOOK_UP_BYTES // max(1, batch.nbytes))
    return (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


async def _pieces(data: pa.Buffer) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(view), _WRITE_BYTES):
        yield bytes(view[start : start + _WRITE_BYTES])

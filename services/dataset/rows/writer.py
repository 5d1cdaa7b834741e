"""Storing the chunks of one split.

Promise 1: a pack's bytes are durable before its chunks are in the catalogue, and all chunks are before ``finish``
returns. Before that nothing lists them; what a writer that ends early leaves behind, the collector finds by the
upload's pins.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from chassis.blobs import Blob, Blobs, BlobWriter, Scheme
from headwater import tree
from services.dataset.errors import Collected, UploadNotOpen
from services.dataset.model import Split
from services.dataset.rows.errors import ChunkNotStored, ChunksNotCanonical, SplitTooLarge
from services.dataset.rows.layout import Layout
from services.dataset.rows.packs import PackWriter, Place
from services.dataset.store import NewChunk, Store

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
"""Runs a coroutine on the event loop and waits for it, from another thread."""

MAX_CHUNKS = 1 << 20
"""Of one split: about a terabyte. What is kept of each takes a few hundred bytes while the split is written."""
_LOOK_UP_BYTES = 32 << 20
_LOOK_UP_CHUNKS = 1 << 12


@dataclasses.dataclass(frozen=True, slots=True)
class PutLimits:
    """See the settings of the same names."""

    pack_max_bytes: int
    pack_write_timeout_s: float
    upload_ttl_s: float


class PutStore:
    """What writing to an upload needs of the store and the blobs. For the event loop.

    At most one pack at a time is being sealed and published; the next one is written meanwhile.
    """

    def __init__(self, store: Store, blobs: Blobs, upload_uid: str, layout: Layout, limits: PutLimits) -> None:
        self._store = store
        self._blobs = blobs
        self._upload_uid = upload_uid
        self._limits = limits
        self._keeping: asyncio.Task[None] | None = None
        self._touched_at = 0.0
        self._touch_interval_s = min(60.0, limits.upload_ttl_s / 4)
        self.layout = layout
        self.pack_max_bytes = limits.pack_max_bytes

    async def touch(self) -> None:
        """Let the upload live on, or raise UploadNotOpen."""
        async with self._store.transaction() as tx:
            await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
        self._touched_at = asyncio.get_running_loop().time()

    async def ask(self, digests: Sequence[bytes]) -> "asyncio.Task[Mapping[bytes, NewChunk]]":
        """Begin to find out which of the chunks are stored already; those stay so from then on."""
        return _begin(self._find(digests))

    async def told(self, asked: "asyncio.Task[Mapping[bytes, NewChunk]]") -> Mapping[bytes, NewChunk]:
        """What is known of the chunks that are stored."""
        return await asked

    def begin(self) -> BlobWriter:
        """Begin a pack; blocks."""
        return self._blobs.writer(Scheme.BLAKE3, direct=True)

    async def keep(self, writer: BlobWriter, places: Sequence[Place]) -> None:
        """Begin to seal and publish a pack that is completely written, when the one before it is kept."""
        await self.wait()
        self._keeping = _begin(self._keep(writer, places))

    async def wait(self) -> None:
        """Return when every pack is kept."""
        if self._keeping is not None:
            await self._keeping

    async def record(self, split: Split, chunks: Sequence[NewChunk]) -> None:
        """Make the chunks the upload's split."""
        async with self._store.transaction() as tx:
            await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
            await tx.record_split(self._upload_uid, split, chunks)

    async def _find(self, digests: Sequence[bytes]) -> Mapping[bytes, NewChunk]:
        now = asyncio.get_running_loop().time()
        async with self._store.transaction() as tx:
            found = await tx.describe_chunks(self._upload_uid, self.layout.digest, digests)
            # Where nothing was found nothing is written, so that nobody waits for the database's disk.
            if found or now - self._touched_at >= self._touch_interval_s:
                await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
                self._touched_at = now
        return found

    async def _keep(self, writer: BlobWriter, places: Sequence[Place]) -> None:
        try:
            blob = await asyncio.to_thread(writer.seal)
            # Noted before it appears: whatever happens in between, the collector knows of the file.
            async with self._store.transaction() as tx:
                await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
                await tx.begin_pack(self._upload_uid, blob.digest, blob.size_bytes)
            async with asyncio.timeout(self._limits.pack_write_timeout_s):
                await writer.publish()
        finally:
            await asyncio.to_thread(writer.discard)
        await self._list(blob, places)

    async def _list(self, blob: Blob, places: Sequence[Place]) -> None:
        chunks = [place.within(blob.digest) for place in places]
        try:
            async with self._store.transaction() as tx:
                await tx.touch_upload(self._upload_uid, self._limits.upload_ttl_s)
                await tx.finish_pack(self._upload_uid, self.layout.digest, blob.digest, chunks)
        except (UploadNotOpen, Collected):
            # The collector may have been here before the bytes were.
            await self._blobs.delete(blob.digest)
            raise


def _begin(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    task = asyncio.create_task(work)
    # When the stream ends early nobody waits for it any more: it ends by itself, and its failure is no news.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


@dataclasses.dataclass
class _Group:
    """Chunks that are asked about together."""

    chunks: list[tree.Chunk | bytes] = dataclasses.field(default_factory=list)
    size_bytes: int = 0
    asked: "asyncio.Task[Mapping[bytes, NewChunk]] | None" = None


class ChunkWriter:
    """Stores those chunks of a split that are not stored yet, and checks that all are cut where rows are cut.

    For one thread, other than the event loop's. ``discard`` it in the end, whatever happened.
    """

    def __init__(self, store: PutStore, run: Run[Any]) -> None:
        self._store = store
        self._run = run
        self._gathering = _Group()
        self._asked = _Group()
        self._known: dict[bytes, NewChunk] = {}
        self._written: list[NewChunk] = []
        self._pack: PackWriter | None = None
        self._blob: BlobWriter | None = None
        self.new_chunk_count = 0

    def add(self, chunk: tree.Chunk) -> None:
        """The next chunk, with its rows: they are valid Arrow."""
        self._wait(chunk, chunk.size_bytes)

    def add_stored(self, digest: bytes) -> None:
        """The next chunk, which is stored already or came before in this split."""
        self._wait(digest, 0)

    def finish(self) -> list[NewChunk]:
        """All chunks in order, when they are durable and in the catalogue.

        Raises (here or in ``add`` and ``add_stored``):
            ChunkNotStored, ChunksNotCanonical, SplitTooLarge, UploadNotOpen, Collected, BlobStoreFull
        """
        self._ask()
        self._ask()
        self._finish_pack()
        self._run(self._store.wait())
        return self._written

    def discard(self) -> None:
        """Give up what is not finished."""
        if self._blob is not None:
            self._blob.discard()

    def _wait(self, chunk: tree.Chunk | bytes, size_bytes: int) -> None:
        self._gathering.chunks.append(chunk)
        self._gathering.size_bytes += size_bytes
        if self._gathering.size_bytes >= _LOOK_UP_BYTES or len(self._gathering.chunks) >= _LOOK_UP_CHUNKS:
            self._ask()

    def _ask(self) -> None:
        """Ask about the chunks gathered, and meanwhile deal with those asked about before."""
        group, before, self._gathering = self._gathering, self._asked, _Group()
        if digests := sorted({_digest(chunk) for chunk in group.chunks} - self._known.keys()):
            group.asked = self._run(self._store.ask(digests))
        self._asked = group
        if before.asked is not None:
            self._known.update(self._run(self._store.told(before.asked)))
        for chunk in before.chunks:
            self._append(self._known.get(_digest(chunk)) or self._lay_down(chunk))

    def _append(self, chunk: NewChunk) -> None:
        if self._written:
            before = self._written[-1]
            if not before.ends_naturally and before.size_bytes + chunk.first_row_bytes <= tree.CHUNK_MAX_BYTES:
                raise ChunksNotCanonical(chunk_number=len(self._written))
        if len(self._written) == MAX_CHUNKS:
            raise SplitTooLarge(limit_chunks=MAX_CHUNKS)
        self._written.append(chunk)

    def _lay_down(self, chunk: tree.Chunk | bytes) -> NewChunk:
        if isinstance(chunk, bytes):
            raise ChunkNotStored(chunk=tree.digest_text(chunk))
        pack = self._pack
        if pack is not None and pack.may_end and pack.size_bytes + chunk.size_bytes > self._store.pack_max_bytes:
            self._finish_pack()
        if self._pack is None:
            self._blob = self._store.begin()
            self._pack = PackWriter(self._store.layout, self._blob)
        self.new_chunk_count += 1
        # Its statistics go with its pack; here they would only take memory.
        self._known[chunk.digest] = known = dataclasses.replace(self._pack.add(chunk), statistics=b"")
        return known

    def _finish_pack(self) -> None:
        if self._pack is not None and self._blob is not None:
            places = self._pack.finish()
            self._run(self._store.keep(self._blob, places))
            self._pack = self._blob = None


def _digest(chunk: tree.Chunk | bytes) -> bytes:
    return chunk if isinstance(chunk, bytes) else chunk.digest

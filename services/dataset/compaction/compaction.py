"""Compaction: of packs of which little is needed any more, that little moves to a new pack.

    in this order      and if it ends here
    1. write the file  it is in ``incoming``, which the collector of the blobs clears
    2. note the pack   the pack is abandoned: the collector finds it in writing and pinned by nobody
    3. publish         the same; its file is removed late enough for one that appeared late
    4. read it back    the same
    5. move the chunks all has happened: the packs of before are retired and removed when no reader knows of them

Step 5 is one transaction that no writer is in the middle of. It happens only if everything is as it was before step 1.
Any number of processes may do it at once, and others may write and read.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import structlog

from chassis.blobs import Blobs, BlobWriter, Scheme
from headwater.errors import DataLoss, HeadwaterError
from services.dataset.compaction.rewrite import NewPack, check, in_thread, named
from services.dataset.compaction.store import LiveChunk, SparsePack
from services.dataset.rows.mapped import MappedPack, MappedPacks
from services.dataset.store import Store

_AT_ONCE = 100
"""Packs that are looked at in one transaction."""
_MAX_SOURCES = 64
"""Packs that one new pack replaces: the more there are, the more likely it is that one has changed meanwhile."""


@dataclasses.dataclass(frozen=True, slots=True)
class CompactionOptions:
    """See the settings of the same names."""

    compact_interval_s: float
    compact_after_s: float
    compact_max_live_share: float
    retired_pack_ttl_s: float
    pack_max_bytes: int
    pack_write_timeout_s: float


class Compaction:
    """Compacts what all datasets have stored."""

    def __init__(self, store: Store, blobs: Blobs, options: CompactionOptions, owner: str) -> None:
        self._store = store
        self._blobs = blobs
        self._options = options
        self._owner = owner

    async def run(self) -> None:
        """Compact for ever."""
        while True:
            await self.compact()
            await asyncio.sleep(self._options.compact_interval_s)

    async def compact(self) -> int:
        """Look at all packs once; returns how many were replaced. None are while another process is at it."""
        if not self._options.compact_max_live_share:
            return 0
        replaced, after = 0, 0
        waiting: dict[bytes, list[SparsePack]] = {}
        while await self._claim(self._options.pack_write_timeout_s):
            async with self._store.transaction() as tx:
                page = await tx.sparse_packs(
                    after, _AT_ONCE, self._options.compact_after_s, self._options.compact_max_live_share
                )
            for sparse in page.packs:
                group = waiting.setdefault(sparse.layout, [])
                if group and not self._is_room(group, sparse):
                    replaced += await self._replace(waiting.pop(sparse.layout))
                    group = waiting.setdefault(sparse.layout, [])
                group.append(sparse)
            if page.last is None:
                break
            after = page.last
        for group in waiting.values():
            replaced += await self._replace(group)
        await self._claim(0)
        return replaced

    def _is_room(self, group: Sequence[SparsePack], sparse: SparsePack) -> bool:
        live_bytes = sum(each.live_bytes for each in group) + sparse.live_bytes
        return len(group) < _MAX_SOURCES and live_bytes <= self._options.pack_max_bytes

    async def _claim(self, ttl_s: float) -> bool:
        """Whether to go on. What is begun is ended whoever claims it then."""
        async with self._store.transaction() as tx:
            return await tx.claim_compaction(self._owner, ttl_s)

    async def _replace(self, group: Sequence[SparsePack]) -> int:
        """Replace packs of one layout by as few as may be; those that cannot be stay as they are."""
        replaced = 0
        while group:
            try:
                taken, group = await self._replace_some(group)
            except (HeadwaterError, OSError, pa.ArrowException):
                # Of one that fails, the others must not notice; it is tried again the next time.
                packs = [sparse.pack for sparse in group]
                structlog.get_logger().warning("could not compact packs", packs=packs, exc_info=True)
                return replaced
            replaced += taken
        return replaced

    async def _replace_some(self, group: Sequence[SparsePack]) -> tuple[int, list[SparsePack]]:
        """Replace as many packs as fit into one; returns how many, and those that are left."""
        blob = await in_thread(lambda: self._blobs.writer(Scheme.BLAKE3, direct=True))
        try:
            new, left = NewPack(blob, self._options.pack_max_bytes), []
            for sparse in group:
                try:
                    source = await self._open(sparse.pack)
                    if not await in_thread(lambda: new.add(sparse, source)):  # noqa: B023 - awaited within the turn
                        left.append(sparse)
                except DataLoss as error:
                    structlog.get_logger().error("a pack is damaged", pack=sparse.pack, error=str(error))
            chunks = await in_thread(new.finish)
            if not new.taken:
                return 0, []
            return (len(new.taken) if await self._put_in_place(new.taken, blob, chunks) else 0), left
        finally:
            await in_thread(blob.discard)

    async def _put_in_place(self, old: Sequence[SparsePack], blob: BlobWriter, chunks: Sequence[LiveChunk]) -> bool:
        sealed = await in_thread(blob.seal)
        # Noted before it appears: whatever happens in between, the collector knows of the file.
        async with self._store.transaction() as tx:
            await tx.begin_compacted(sealed.digest, sealed.size_bytes)
        try:
            async with asyncio.timeout(self._options.pack_write_timeout_s):
                await blob.publish()
            moved = named(chunks, sealed.digest)
            written = await self._open(sealed.digest)
            await in_thread(lambda: check(moved, written))
            async with self._store.transaction() as tx:
                replaced = await tx.replace_packs(old, sealed.digest, moved, self._options.retired_pack_ttl_s)
        except Exception:
            # Publishing may go on in its thread, and moving may have succeeded though we were not told. If this fails
            # as well, the collector finds the pack.
            with contextlib.suppress(HeadwaterError):
                await self._give_up(sealed.digest, self._options.retired_pack_ttl_s)
            raise
        if not replaced:
            await self._give_up(sealed.digest, 0)
            return False
        names = [sparse.pack for sparse in old]
        structlog.get_logger().info("compacted packs", packs=names, into=sealed.digest, chunks=len(chunks))
        return True

    async def _give_up(self, pack: str, ttl_s: float) -> None:
        async with self._store.transaction() as tx:
            is_known = await tx.give_up_compacted(pack, ttl_s)
        if not is_known:
            # The collector has been here before the bytes were.
            await self._blobs.delete(pack)

    async def _open(self, pack: str) -> MappedPack:
        """The pack, verified, apart from those that readers keep open: nobody comes here twice."""
        return (await MappedPacks(self._blobs, 1).open([pack]))[pack]

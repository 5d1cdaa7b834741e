"""Removing what aborted, expired and crashed uploads left behind, commits that nothing leads to, and packs that were
replaced (``compaction/``).

Any number of processes may do it at once.
"""

import asyncio

import structlog

from chassis.blobs import Blobs
from services.dataset.rows.mapped import MappedPacks
from services.dataset.store import Store

_PACKS_AT_ONCE = 100


class Collector:
    """Collects; the store decides what is dead (``store.Collector``)."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        *,
        interval_s: float,
        write_timeout_s: float,
        unreachable_ttl_s: float,
        retired_pack_ttl_s: float = 86_400,
        packs: MappedPacks | None = None,
    ) -> None:
        """``packs`` are those that this process has mapped, if it has any."""
        self._store = store
        self._blobs = blobs
        self._interval_s = interval_s
        self._write_timeout_s = write_timeout_s
        self._unreachable_ttl_s = unreachable_ttl_s
        self._retired_pack_ttl_s = retired_pack_ttl_s
        self._packs = packs

    async def run(self) -> None:
        """Collect for ever."""
        while True:
            removed = await self.collect()
            if removed:
                structlog.get_logger().info("collected packs that nothing needs", packs=removed)
            await asyncio.sleep(self._interval_s)

    async def collect(self) -> int:
        """Collect everything that is dead now; returns how many packs were removed."""
        async with self._store.transaction() as tx:
            await tx.expire_uploads()
            await tx.forget_requests()
            await tx.retire_abandoned_packs(self._write_timeout_s, self._retired_pack_ttl_s)
        while await self._release_one():
            pass
        while await self._drop_one():
            pass
        await self._blobs.collect_leftovers()
        return await self._remove_packs()

    async def _release_one(self) -> bool:
        async with self._store.transaction() as tx:
            return await tx.release_dead_upload(self._write_timeout_s)

    async def _drop_one(self) -> bool:
        async with self._store.transaction() as tx:
            return await tx.drop_unreachable_commit(self._unreachable_ttl_s)

    async def _remove_packs(self) -> int:
        removed = 0
        while True:
            async with self._store.transaction() as tx:
                packs = await tx.condemned_packs(_PACKS_AT_ONCE)
            if not packs:
                return removed
            # The bytes first: a pack that is forgotten too early would never be removed.
            for pack in packs:
                await self._blobs.delete(pack)
            if self._packs is not None:
                self._packs.forget(packs)
            async with self._store.transaction() as tx:
                await tx.forget_packs(packs)
            removed += len(packs)

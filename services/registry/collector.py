"""Removing what nobody needs any more: answers past their time, and what interrupted uploads left behind."""

import asyncio

from chassis.blobs import Blobs
from services.registry.store import Store
from services.registry.uploads.uploads import Uploads


class Collector:
    """Collects at every interval. Any number of processes may do so at once."""

    def __init__(self, store: Store, blobs: Blobs, uploads: Uploads, *, interval_s: float) -> None:
        self._store = store
        self._blobs = blobs
        self._uploads = uploads
        self._interval_s = interval_s

    async def run(self) -> None:
        """Collect for ever."""
        while True:
            await self.collect()
            await asyncio.sleep(self._interval_s)

    async def collect(self) -> None:
        """Collect once."""
        async with self._store.transaction() as tx:
            await tx.forget_old_answers()
        await self._blobs.collect_leftovers()
        await self._uploads.collect()

"""The rows of versions, wherever they are: see Sources."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from headwater.errors import HeadwaterError
from headwater.names import DatasetVersionName
from services.dataset.checkpoints.resolve import Readable, readable
from services.dataset.datasets import version_named
from services.dataset.datastores.live import LivePaths
from services.dataset.errors import NoRowsStored
from services.dataset.history.definition import DataPath
from services.dataset.history.model import Commit
from services.dataset.profiles.live import live_source
from services.dataset.profiles.model import ProfileSubject
from services.dataset.profiles.sources import Source
from services.dataset.profiles.stored import StoredSplit
from services.dataset.rows.mapped import MappedPacks
from services.dataset.store import Store

_TELL_S = 5.0


class VersionSources:
    """See Sources: what is profiled is what readers of the version get (M-26)."""

    def __init__(self, store: Store, packs: MappedPacks, live: LivePaths) -> None:
        self._store = store
        self._packs = packs
        self._live = live

    @contextlib.asynccontextmanager
    async def open(self, subject: ProfileSubject) -> AsyncIterator[Source]:
        """See Sources."""
        commit, read = await self._readable(subject.version, subject.checkpoint)
        if read.splits:
            splits = [StoredSplit(self._store, self._packs, split) for split in read.splits]
            yield Source(splits, _mark(commit, read))
        elif isinstance(commit.definition, DataPath):
            async with live_source(await self._live.locate(commit.definition)) as source:
                yield source
        else:
            raise NoRowsStored(version=subject.version)

    async def fingerprint(self, version: DatasetVersionName) -> str | None:
        """See Sources. A place that does not answer soon cannot tell."""
        commit, read = await self._readable(version, "")
        if read.splits or not isinstance(commit.definition, DataPath):
            return _mark(commit, read)
        try:
            located = await self._live.locate(commit.definition)
            async with asyncio.timeout(_TELL_S):
                return await asyncio.to_thread(located.fingerprint) or None
        except (HeadwaterError, TimeoutError):
            return None

    async def _readable(self, version: DatasetVersionName, checkpoint: str) -> tuple[Commit, Readable]:
        async with self._store.transaction() as tx:
            commit = (await version_named(tx, version)).commit
            return commit, await readable(tx, commit, checkpoint)


def _mark(commit: Commit, read: Readable) -> str:
    """The rows of a version never change. Of a place, the newest copy is read, and there can be a newer one."""
    return "" if commit.splits else f"copy {read.digest.hex()}"

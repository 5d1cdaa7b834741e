"""Stores and blobs that fail at a chosen step, as a process that dies or a disk that is away makes them fail."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from chassis.blobs import Blob, Blobs, BlobWriter, LocalBlobs, Scheme
from services.dataset.compaction.compaction import Compaction, CompactionOptions
from services.dataset.store import Store, Transaction

OPTIONS = CompactionOptions(
    compact_interval_s=3600,
    compact_after_s=0,
    compact_max_live_share=0.5,
    retired_pack_ttl_s=3600,
    pack_max_bytes=1 << 20,
    pack_write_timeout_s=60,
)


class Killed(BaseException):
    """Nobody handles it: what comes after it does not happen, as in a process that is killed."""


class Steps:
    """Counts steps, and fails at one of them."""

    def __init__(self, fails_at: int = -1, error: type[BaseException] = Killed) -> None:
        self._fails_at = fails_at
        self._error = error
        self._dead = False
        self.taken = 0

    def step(self) -> None:
        """Take a step; a dead process takes none."""
        self.taken += 1
        self._dead = self._dead or (self.taken == self._fails_at and self._error is Killed)
        if self._dead or self.taken == self._fails_at:
            raise self._error


class FailingStore:
    """A store; each transaction may fail before it begins, before it commits, and after it has."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See Store."""
        self._steps.step()
        async with self._store.transaction() as tx:
            yield tx
            self._steps.step()
        self._steps.step()


class _FailingWriter(BlobWriter):
    def __init__(self, writer: BlobWriter, steps: Steps) -> None:
        self._writer = writer
        self._steps = steps

    def write(self, data: Any) -> None:
        self._writer.write(data)

    def seal(self) -> Blob:
        self._steps.step()
        return self._writer.seal()

    async def publish(self) -> None:
        self._steps.step()
        await self._writer.publish()
        self._steps.step()

    def discard(self) -> None:
        self._writer.discard()


class FailingBlobs(LocalBlobs):
    """Blobs; each thing that is done with them may fail."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self._steps = steps

    def writer(self, scheme: Scheme = Scheme.SHA256, *, direct: bool = False) -> BlobWriter:
        """See Blobs."""
        self._steps.step()
        return _FailingWriter(super().writer(scheme, direct=direct), self._steps)

    async def local_paths(self, digests: Sequence[str]) -> list[Path]:
        """See Blobs."""
        self._steps.step()
        return await super().local_paths(digests)

    async def delete(self, digest: str) -> None:
        """See Blobs."""
        self._steps.step()
        await super().delete(digest)


def compaction(store: Store, blobs: Blobs, options: CompactionOptions = OPTIONS) -> Compaction:
    """Compaction by a process that is called the same each time."""
    return Compaction(store, blobs, options, "me")


def files_in(folder: Path) -> set[str]:
    """The packs that are on disk."""
    return {f"blake3:{file.name}" for file in (folder / "blake3").rglob("*") if file.is_file()}

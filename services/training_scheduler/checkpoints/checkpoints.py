"""Saving, resuming from and collecting checkpoints."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from chassis.blobs import Blobs
from chassis.clock import Clock
from services.training_scheduler.checkpoints.model import StoredCheckpoint
from services.training_scheduler.errors import CheckpointNotFound, InvalidCheckpoint
from services.training_scheduler.jobs.changes import Changes
from services.training_scheduler.jobs.model import Checkpoint
from services.training_scheduler.store import Store
from services.training_scheduler.workers.attempt import Worker, fenced

_COLLECTED_AT_ONCE = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Announced:
    """A checkpoint that is about to come."""

    epoch: int
    step: int
    digest: str
    size_bytes: int


class Checkpoints:
    """Keeps the newest ``keep`` checkpoints of each job; the bytes are blobs and are never loaded here (promise 12)."""

    def __init__(
        self, store: Store, blobs: Blobs, changes: Changes, clock: Clock, *, keep: int, max_bytes: int
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._changes = changes
        self._clock = clock
        self._keep = keep
        self._max_bytes = max_bytes

    async def save(self, worker: Worker, announced: Announced, chunks: AsyncIterable[bytes]) -> Checkpoint:
        """Store a checkpoint; when this returns it is durable and the next attempt resumes from it.

        Raises:
            StaleAttempt: nothing is kept.
            DigestMismatch, InvalidCheckpoint: the bytes are not what was announced, or not a safetensors file.
            CheckpointBeingCollected: the same bytes are being removed; try again.
        """
        if not 0 < announced.size_bytes <= self._max_bytes:
            raise InvalidCheckpoint(f"A checkpoint has 1 to {self._max_bytes} bytes.", size_bytes=announced.size_bytes)
        checkpoint = Checkpoint(**dataclasses.asdict(announced), create_time=self._clock.now())
        async with self._store.transaction() as tx:
            newest = (await fenced(tx, worker)).checkpoint
            if newest is not None and announced == _announced(newest):  # the answer was lost, and this is the retry
                return newest
            stored = await tx.checkpoints.announce(StoredCheckpoint(worker.job.job, worker.fencing_token, checkpoint))
        try:
            await self._store_bytes(announced, chunks)
            async with self._store.transaction() as tx:
                job = await fenced(tx, worker, lock=True)
                await tx.checkpoints.commit(stored, self._keep)
                await tx.jobs.save(dataclasses.replace(job, checkpoint=checkpoint))
        except BaseException:
            # Best effort: what cannot be dropped now is dropped as abandoned when the attempt is over.
            with contextlib.suppress(Exception):
                await asyncio.shield(self._drop(stored))
            raise
        await self._changes.tell(job.id)
        return checkpoint

    async def newest(self, worker: Worker) -> AsyncIterator[bytes]:
        """The bytes of the job's newest checkpoint; the last ones come only after their digest has been verified.

        Raises:
            StaleAttempt
            CheckpointNotFound: the job has none.
        """
        async with self._store.transaction() as tx:
            job = await fenced(tx, worker)
        if job.checkpoint is None:
            raise CheckpointNotFound(job=job.id)
        async for chunk in self._blobs.open(job.checkpoint.digest):
            yield chunk

    async def collect(self) -> int:
        """Remove the bytes of checkpoints that nobody needs, and what interrupted uploads left; returns how many
        digests that were.
        """
        await self._blobs.collect_leftovers()
        async with self._store.transaction() as tx:
            await tx.checkpoints.drop_abandoned()
            digests = await tx.checkpoints.condemn(_COLLECTED_AT_ONCE)
        for digest in digests:
            await self._blobs.delete(digest)
            async with self._store.transaction() as tx:
                await tx.checkpoints.forget(digest)
        return len(digests)

    async def _store_bytes(self, announced: Announced, chunks: AsyncIterable[bytes]) -> None:
        blob = await self._blobs.put(_at_most(chunks, announced.size_bytes), expected_digest=announced.digest)
        if blob.size_bytes != announced.size_bytes:
            raise InvalidCheckpoint("The checkpoint has another size than announced.", size_bytes=blob.size_bytes)
        path = await self._blobs.local_path(announced.digest)
        await asyncio.to_thread(_check_safetensors, path)

    async def _drop(self, stored: StoredCheckpoint) -> None:
        async with self._store.transaction() as tx:
            await tx.checkpoints.drop(stored)


def _announced(checkpoint: Checkpoint) -> Announced:
    return Announced(checkpoint.epoch, checkpoint.step, checkpoint.digest, checkpoint.size_bytes)


async def _at_most(chunks: AsyncIterable[bytes], size_bytes: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        if received > size_bytes:
            raise InvalidCheckpoint("The checkpoint is larger than announced.", size_bytes=size_bytes)
        yield chunk


def _check_safetensors(path: Path) -> None:
    """Read and check the header (types, shapes, offsets without holes or overlaps); no tensor is loaded."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise InvalidCheckpoint("The file is not a safetensors file.") from error

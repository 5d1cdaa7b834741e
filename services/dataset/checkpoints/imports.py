"""Copying the rows of places into checkpoints, in the background (promise 6).

Whoever holds a checkpoint's lease reads the place and puts its rows into an upload of the attempt's own, which nobody
else knows of. What an attempt before has stored is found by its content, so a copy that was cut off goes on where it
was, at the cost of reading. One transaction makes the upload's splits the checkpoint's, if the lease is still held.
"""

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import pyarrow as pa
import structlog

from chassis.blobs import Blobs
from chassis.db.lease import LeaseLost
from chassis.ids import new_id
from chassis.threads import in_own_thread
from headwater import tree
from headwater.errors import Cancelled, Code, HeadwaterError, Internal
from headwater.names import UploadName
from services.dataset.changes.write import on_loop
from services.dataset.checkpoints.checkpoints import begin_profile
from services.dataset.checkpoints.errors import CheckpointGivenUp
from services.dataset.checkpoints.model import Checkpoint, CheckpointClaim, CheckpointOutcome, CheckpointState
from services.dataset.datasets import read_schema, version_named
from services.dataset.datastores.errors import DataPathUnreadable
from services.dataset.datastores.live import LivePaths, Located
from services.dataset.errors import NoRowsStored
from services.dataset.history.definition import DataPath
from services.dataset.model import Upload, UploadState
from services.dataset.rows.layout import Layout
from services.dataset.rows.put import PutStream
from services.dataset.rows.writer import PutLimits, PutStore, Run
from services.dataset.store import Store

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_TRANSIENT: Final = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.CANCELLED}
)
_STOP_S: Final = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class ImportOptions:
    """How copies are made. Times are in seconds."""

    owner: str
    lease_s: float = 30.0
    poll_interval_s: float = 2.0
    max_attempts: int = 10
    retry_s: float = 2.0
    """Before the second attempt; twice as long before each one after it."""


class Imports:
    """Makes copies, oldest first, one at a time."""

    def __init__(self, store: Store, blobs: Blobs, live: LivePaths, limits: PutLimits, options: ImportOptions) -> None:
        self._store = store
        self._blobs = blobs
        self._live = live
        self._limits = limits
        self._options = options
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Make copies for ever."""
        while True:
            self._woken.clear()
            if not await self.run_next():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._options.poll_interval_s):
                        await self._woken.wait()

    async def run_next(self) -> bool:
        """Take the oldest checkpoint that is to be made and bring it on; False when there is none."""
        async with self._store.transaction() as tx:
            claim = await tx.claim_checkpoint(self._options.owner, self._options.lease_s)
        if claim is None:
            return False
        keeper = asyncio.ensure_future(self._keep_lease(claim))
        work = asyncio.ensure_future(self._attempt(claim))
        try:
            await asyncio.wait({keeper, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                _log.warning("lease lost", checkpoint=str(claim.checkpoint.name))
        except LeaseLost:
            _log.info("attempt dropped", checkpoint=str(claim.checkpoint.name))
        except asyncio.CancelledError:  # the process drains: another one goes on at once
            with contextlib.suppress(HeadwaterError):
                await self._release(claim)
            raise
        finally:
            for task in (keeper, work):
                task.cancel()
            await asyncio.gather(keeper, work, return_exceptions=True)
        return True

    async def _keep_lease(self, claim: CheckpointClaim) -> None:
        """Renew the lease until it is lost; returns then."""
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            try:
                async with self._store.transaction() as tx:
                    await tx.renew_checkpoint(claim, self._options.lease_s)
            except LeaseLost:
                return
            except HeadwaterError:
                continue  # the database is away; the lease decides when it is back

    async def _attempt(self, claim: CheckpointClaim) -> None:
        if claim.token > self._options.max_attempts:
            await self._fail(claim, CheckpointGivenUp())
            return
        try:
            await self._make(claim)
        except LeaseLost:
            raise
        except HeadwaterError as error:
            if error.code in _TRANSIENT and claim.token < self._options.max_attempts:
                _log.warning("attempt failed, will be tried again", reason=error.reason, attempt=claim.token)
                await self._postpone(claim, self._options.retry_s * 2 ** (claim.token - 1))
                return
            await self._fail(claim, error)
        except Exception as error:
            _log.exception("attempt failed", checkpoint=str(claim.checkpoint.name))
            await self._fail(claim, Internal(f"{type(error).__name__} while the rows were copied."))

    async def _make(self, claim: CheckpointClaim) -> None:
        checkpoint = claim.checkpoint
        located = await self._locate(checkpoint)
        async with self._store.transaction() as tx:
            upload = await tx.create_upload(
                new_id(), checkpoint.dataset, checkpoint.created_by, self._limits.upload_ttl_s
            )
        run, stop = on_loop(asyncio.get_running_loop()), threading.Event()
        # When this fails the upload stays open: what it has stored is found again by the next attempt.
        await _in_thread(lambda: self._copy(located, upload, run, stop), stop)
        await self._succeed(claim, upload.name)

    async def _locate(self, checkpoint: Checkpoint) -> Located:
        async with self._store.transaction() as tx:
            commit = (await version_named(tx, checkpoint.version)).commit
        if not isinstance(commit.definition, DataPath):
            raise NoRowsStored(version=checkpoint.version)
        return await self._live.locate(commit.definition)

    def _copy(self, located: Located, upload: Upload, run: Run[Any], stop: threading.Event) -> None:
        """Put all rows into the upload; in a thread of its own."""
        with located.open() as opened:
            splits = opened.splits
            if not splits:
                raise DataPathUnreadable("There are no rows at the path.")
            layout = Layout.of(opened.schema)
            for split in splits:
                store = PutStore(self._store, self._blobs, upload.uid, layout, self._limits)
                PutStream(opened.schema, store, run).put(split, _until(stop, opened.batches(split)))

    async def _succeed(self, claim: CheckpointClaim, name: UploadName) -> None:
        checkpoint = claim.checkpoint
        async with self._store.transaction() as tx:
            # Locked and open, so that the collector leaves its splits alone.
            upload = await tx.get_upload(name, lock=True)
            await tx.touch_upload(upload.uid, self._limits.upload_ttl_s)
            digests = [tree.Split(split.name, split.tree.root, split.tree.row_count) for split in upload.splits]
            outcome = CheckpointOutcome(
                CheckpointState.READY,
                digest=tree.version_digest(read_schema(upload.splits[0]), digests),
                splits=upload.splits,
                profile=await begin_profile(tx, checkpoint.version, checkpoint.created_by, checkpoint.name.checkpoint),
            )
            await tx.end_checkpoint(claim, outcome)
            # Its packs are the copy's by now, and the upload's no more.
            await tx.close_upload(upload.uid, UploadState.ABORTED)

    async def _fail(self, claim: CheckpointClaim, error: HeadwaterError) -> None:
        async with self._store.transaction() as tx:
            said = f"{error.reason}: {error.message}"
            await tx.end_checkpoint(claim, CheckpointOutcome(CheckpointState.FAILED, error=said))

    async def _postpone(self, claim: CheckpointClaim, delay_s: float) -> None:
        """Let nobody try again before that: the lease ends by itself then, and others are made meanwhile."""
        async with self._store.transaction() as tx:
            await tx.renew_checkpoint(claim, delay_s)

    async def _release(self, claim: CheckpointClaim) -> None:
        async with self._store.transaction() as tx:
            await tx.release_checkpoint(claim)


def _until(stop: threading.Event, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if stop.is_set():
            raise Cancelled
        yield batch


async def _in_thread(work: Callable[[], T], stop: threading.Event) -> T:
    """Do the work in a thread that nobody has to wait for at the end of the process.

    When this is cancelled ``stop`` is set, and the thread gets a moment to end.
    """
    done = asyncio.ensure_future(in_own_thread("checkpoint-import", work))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stop.set()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(done, _STOP_S)
        raise

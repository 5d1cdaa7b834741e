"""Moves records from the database into Parquet files in object storage, and lets go of what is too old.

Exactly once, whenever the process dies:

1. The oldest records are read and written to files whose digests nobody else's have, since each has an id in it.
2. The digests are announced, so that files which are never used are found and removed.
3. The files are published: durable from now on.
4. In one transaction the files come into use and the records leave the database; if the records are not all there,
   because another process was first, nothing happens.

Readers see the records in the database before 4 and in the files after it, see Archive.
"""

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import AsyncIterator, Sequence

import structlog

from chassis.blobs import Blobs
from chassis.clock import Clock
from headwater.errors import HeadwaterError
from services.inference.records.archive import BATCH_ROWS
from services.inference.records.columns import BODY_SCHEMA, SCHEMA
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.model import Record
from services.inference.records.store import Extent, FileKind, HotRecords, RecordFile, RotationLost
from services.inference.records.writing import RecordFileWriter

_ABANDONED_S = 3600.0

_log = structlog.get_logger("inference.rotation")


@dataclasses.dataclass(frozen=True, slots=True)
class RotationOptions:
    """When records move, and how long they and their bodies are kept; a retention of 0 is without end."""

    after_s: float
    rows: int
    retention_s: float
    body_retention_s: float
    interval_s: float


class Rotation:
    """Moves records; any number of processes may."""

    def __init__(
        self, hot: HotRecords, feedback: FeedbackStore, blobs: Blobs, clock: Clock, options: RotationOptions
    ) -> None:
        self._hot = hot
        self._feedback = feedback
        self._blobs = blobs
        self._clock = clock
        self._options = options

    async def run(self) -> None:
        """Move what is due and let go of what is too old, for ever."""
        while True:
            await asyncio.sleep(self._options.interval_s)
            try:
                while await self.rotate():
                    pass
                await self.let_go()
            except HeadwaterError as error:
                _log.warning("records cannot be moved into files", reason=error.reason)

    async def rotate(self) -> int:
        """Move records into a file if it is time; returns how many.

        Raises:
            Unavailable: the database or the object storage is away; everything is where it was.
        """
        extent = await self._hot.extent()
        if extent is None:
            return 0
        age_s = (self._clock.now() - extent.first_time).total_seconds()
        if extent.last_sequence - extent.first_sequence + 1 < self._options.rows and age_s < self._options.after_s:
            return 0
        try:
            return await self._move(extent)
        except RotationLost:
            _log.info("records were moved by another process")
            return 0

    async def let_go(self) -> None:
        """Remove files that are too old, and those that were left behind."""
        for kind, retention_s in (
            (FileKind.RECORDS, self._options.retention_s),
            (FileKind.BODIES, self._options.body_retention_s or self._options.retention_s),
        ):
            if retention_s:
                await self._hot.retire(kind, self._ago(retention_s))
        if self._options.retention_s:
            await self._feedback.forget(self._ago(self._options.retention_s))
        for digest in await self._hot.unneeded(_ABANDONED_S):
            await self._blobs.delete(digest)
            await self._hot.forget_file(digest)

    async def _move(self, extent: Extent) -> int:
        async with contextlib.AsyncExitStack() as stack:
            records = RecordFileWriter(FileKind.RECORDS, SCHEMA, self._blobs)
            bodies = RecordFileWriter(FileKind.BODIES, BODY_SCHEMA, self._blobs)
            stack.push_async_callback(asyncio.to_thread, records.discard)
            stack.push_async_callback(asyncio.to_thread, bodies.discard)
            async for batch in self._oldest(extent):
                await asyncio.to_thread(records.add, batch)
                await asyncio.to_thread(bodies.add, [record for record in batch if record.body_bytes])
            written = [each for each in (records, bodies) if each.row_count]
            files = [await asyncio.to_thread(each.seal) for each in written]
            await self._hot.announce(files)
            for each in written:
                await each.publish()
            await self._hot.replace(files)
        _log.info("records moved into a file", rows=records.row_count, digest=files[0].digest)
        return records.row_count

    async def _oldest(self, extent: Extent) -> AsyncIterator[Sequence[Record]]:
        after, count = extent.first_sequence - 1, 0
        while count < self._options.rows:
            limit = min(BATCH_ROWS, self._options.rows - count)
            found = await self._hot.following(after, limit, bodies=True)
            if isinstance(found, RecordFile) or (not found and not count):
                raise RotationLost()
            batch = [record for record in found if record.sequence <= extent.last_sequence]
            if not batch:
                return
            yield batch
            after, count = batch[-1].sequence, count + len(batch)

    def _ago(self, seconds: float) -> datetime.datetime:
        return self._clock.now() - datetime.timedelta(seconds=seconds)

"""Writes records by the batch, off the path of requests, and loses none silently.

An answer is put into a buffer in memory before it is sent; a background task hashes its tensors in a thread and appends
the records to the store, every ``flush_interval_s``. Large tensors are hashed sooner, while they are in the processor's
cache and before others take new memory because of them. What this means:

- A record can be read at once: the buffer is looked into before the store.
- A record is durable about one flush interval after its answer. A process that is killed (not stopped) loses what was
  answered since the last flush; a process that is stopped writes everything first.
- While the store is away the buffer fills, and readiness says so. When it is full (``max_records``, or ``max_bytes`` of
  tensors not yet hashed and of bodies) predictions are refused with RECORDS_BEHIND, because none may go unrecorded.
- Failures are recorded like answers as long as half of the buffer is free. Beyond that they are only counted, so that a
  flood of refusals takes no room from answers.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

import structlog

from chassis.deadline import set_remaining_s
from headwater.errors import HeadwaterError, Unavailable
from headwater.names import InferenceRecordName
from services.inference.errors import RecordsBehind
from services.inference.records.making import Listener, Observer, make_records
from services.inference.records.model import Answered, Record, RecordQuery
from services.inference.records.store import RecordStore

_FLUSH_RECORDS = 5_000  # in one statement
_FLUSH_BYTES = 16 * 2**20  # of bodies
_CLOSE_S = 5.0
_HASH_EARLY_BYTES = 4 * 2**20  # of tensors, or a quarter of max_bytes: so many do not wait for the interval

_NOT_LOOKED_AT = frozenset({"QUEUE_FULL", "RECORDS_BEHIND", "MODEL_NOT_READY", "BREAKER_OPEN"})
"""Refused before anybody looked at the request: its digest is not worth the time that there is not."""

_log = structlog.get_logger("inference.recorder")


class NotRecording(Unavailable):
    """Records cannot be written now; answers are still given until the buffer is full."""

    reason = "NOT_RECORDING"
    text = "Records cannot be written."


class Recorder:
    """The buffer before a RecordStore. To be used in one event loop, which runs :meth:`run`."""

    def __init__(
        self,
        store: RecordStore,
        *,
        flush_interval_s: float,
        max_records: int,
        max_bytes: int,
        observers: Sequence[Observer] = (),
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._store = store
        self._observers = observers
        self._listeners = listeners
        self._flush_interval_s = flush_interval_s
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._hash_early_bytes = min(_HASH_EARLY_BYTES, max_bytes // 4)
        self._answered: dict[str, Answered] = {}
        self._hashing: dict[str, Answered] = {}
        self._records: dict[str, Record] = {}
        self._bytes = self._unhashed_bytes = 0
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._next_flush: asyncio.Task[None] | None = None
        """One that has not begun; all who come meanwhile wait for it."""
        self.failing_since: float | None = None
        self.written = 0
        self.failures_left_out = 0
        """Failures that were not recorded because answers needed the room."""

    @property
    def buffered(self) -> int:
        """How many records wait to be written."""
        return len(self._answered) + len(self._hashing) + len(self._records)

    @property
    def buffered_bytes(self) -> int:
        """The memory of the tensors that wait to be hashed, and of the bodies that wait to be written."""
        return self._bytes

    def admit(self) -> None:
        """Go on if one more answer can be recorded.

        Raises:
            RecordsBehind: it cannot, so it must not be given.
        """
        if self.buffered >= self._max_records or self._bytes >= self._max_bytes:
            self._wake.set()
            raise RecordsBehind(retry_after_ms=max(int(self._flush_interval_s * 1000), 50), waiting=self.buffered)

    def add(self, answered: Answered) -> None:
        """Record this answer; it can be found from now on."""
        self._answered[answered.request_id] = answered
        size_bytes = answered.size_bytes
        self._bytes += size_bytes
        self._unhashed_bytes += size_bytes
        if self._unhashed_bytes > self._hash_early_bytes:
            self._wake.set()

    def add_failure(self, answered: Answered) -> bool:
        """Record that there was no answer, and why, if there is room for that; says whether there was."""
        if self.buffered >= self._max_records // 2 or self._bytes >= self._max_bytes // 2:
            self.failures_left_out += 1
            return False
        self.add(answered._replace(inputs=()) if answered.result in _NOT_LOOKED_AT else answered)
        return True

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """Those of the ids that there are records of in this project."""
        buffered = {each for each in request_ids if self._project_of(each) == project}
        stored = await self._store.known(project, set(request_ids) - buffered)
        return buffered.union(stored)

    def holds(self, request_id: str) -> bool:
        """Whether the record waits to be written."""
        return self._project_of(request_id) != ""

    async def find(self, name: InferenceRecordName) -> Record:
        """The record, from the buffer or the store; raises RecordNotFound."""
        answered = self._answered.get(name.record) or self._hashing.get(name.record)
        if answered is not None and answered.served.project == name.project:
            return await asyncio.to_thread(answered.to_record)
        record = self._records.get(name.record)
        if record is not None and record.project == name.project:
            return record
        return await self._store.get(name)

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """Records newest first (see RecordStore); everything answered before the call is among them.

        Raises:
            Unavailable: the store is away, so that the newest cannot be put in order.
        """
        if before is None:
            await self.flush()
        return await self._store.page(query, before, limit)

    async def flush(self) -> None:
        """Write everything that is in the buffer now.

        Raises:
            Unavailable: the store is away; nothing is lost, the buffer keeps it.
        """
        # In a task of its own: who goes away in the middle, or has little time, ends only their own waiting.
        if self._next_flush is None:
            self._next_flush = asyncio.create_task(self._flush(), name="flush records")
        await asyncio.shield(self._next_flush)

    async def _flush(self) -> None:
        set_remaining_s(None)
        async with self._flushing:
            self._next_flush = None  # what is added from now on needs another one
            await self._hash()
            try:
                await self._write()
            except Exception:
                self.failing_since = self.failing_since or time.monotonic()
                raise
            self.failing_since = None

    async def run(self) -> None:
        """Flush every interval, for ever."""
        while True:
            await self._hash_for(self._flush_interval_s)
            try:
                await self.flush()
            except HeadwaterError as error:
                _log.warning("records cannot be written", buffered=self.buffered, reason=error.reason)
                await asyncio.sleep(self._flush_interval_s)

    async def close(self) -> None:
        """Write what is left. Gives up, and says how much is lost, when the store stays away for some seconds."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                while True:
                    try:
                        return await self.flush()
                    except HeadwaterError:
                        await asyncio.sleep(self._flush_interval_s)
        except TimeoutError:
            _log.error("records are lost: the store was away until the end", lost=self.buffered)

    async def check(self) -> None:
        """Return while records can be written; for readiness.

        Raises:
            NotRecording: flushing fails, or the buffer is full.
        """
        if self.failing_since is not None:
            failing_s = time.monotonic() - self.failing_since
            raise NotRecording(buffered=self.buffered, failing_s=f"{failing_s:.0f}")
        try:
            self.admit()
        except RecordsBehind as error:
            raise NotRecording(buffered=self.buffered) from error

    async def _hash_for(self, seconds: float) -> None:
        """Hash large tensors as they come, for so long; shorter when there is no room for more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        # The time is looked at, too: who finds that there is something to hash does not wait, and is not interrupted.
        while loop.time() < until and self._bytes < self._max_bytes and self.buffered < self._max_records:
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                return
            self._wake.clear()
            await asyncio.shield(asyncio.create_task(self._hash_alone(), name="hash records"))

    async def _hash_alone(self) -> None:
        async with self._flushing:
            await self._hash()

    async def _hash(self) -> None:
        if not self._answered:
            return
        # What is done here for each record is done while no request is answered: as little as can be.
        batch, self._answered = self._answered, {}
        batch_bytes, self._unhashed_bytes = self._unhashed_bytes, 0
        self._hashing = batch
        try:
            records, change_bytes = await asyncio.to_thread(make_records, batch, self._listeners, self._observers)
        except BaseException:
            self._answered = batch | self._answered
            self._unhashed_bytes += batch_bytes
            raise
        else:
            self._records |= records
            self._bytes += change_bytes
        finally:
            self._hashing = {}

    async def _write(self) -> None:
        while self._records:
            batch, body_bytes = _first(self._records.values())
            await self._store.append(batch)
            if len(batch) == len(self._records):  # none is added while a batch is written
                self._records = {}
            else:
                for record in batch:
                    del self._records[record.request_id]
            self._bytes -= body_bytes
            self.written += len(batch)

    def _project_of(self, request_id: str) -> str:
        answered = self._answered.get(request_id) or self._hashing.get(request_id)
        if answered is not None:
            return answered.served.project
        record = self._records.get(request_id)
        return "" if record is None else record.project


def _first(records: Collection[Record]) -> tuple[Sequence[Record], int]:
    """As many as are written at once, and the memory of their bodies."""
    batch: list[Record] = []
    size_bytes = 0
    for record in records:
        own_bytes = record.body_bytes if record.body_reason else 0
        if batch and (len(batch) >= _FLUSH_RECORDS or size_bytes + own_bytes > _FLUSH_BYTES):
            break
        batch.append(record)
        size_bytes += own_bytes
    return batch, size_bytes

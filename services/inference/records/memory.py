"""Records in memory; same contract as postgres.py."""

import dataclasses
import datetime
from collections.abc import Callable, Collection, Sequence

from headwater.errors import Unavailable
from headwater.names import InferenceRecordName
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.store import Extent, FileKind, HotRecords, RecordFile, RotationLost, fitting


@dataclasses.dataclass(slots=True)
class _Listed:
    file: RecordFile
    state: str
    change_time: datetime.datetime


class MemoryRecords(HotRecords):
    """See HotRecords. ``away`` makes it unreachable, for tests of what happens then."""

    def __init__(self, now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)) -> None:
        self.away = False
        self._now = now
        self._records: dict[str, Record] = {}
        self._last = 0
        self._files: dict[str, _Listed] = {}
        self._cursors: dict[str, int] = {}

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore."""
        self._reach()
        for record in records:
            if record.request_id not in self._records:
                self._last += 1
                self._records[record.request_id] = record._replace(sequence=self._last)

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        self._reach()
        record = self._records.get(name.record)
        if record is None or record.project != name.project:
            raise RecordNotFound(record=name)
        return record

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        records, _ = await self.preceding(query, before, limit)
        return records

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """See RecordStore."""
        self._reach()
        return {each for each in request_ids if each in self._records and self._records[each].project == project}

    async def extent(self) -> Extent | None:
        """See HotRecords."""
        self._reach()
        records = list(self._records.values())
        if not records:
            return None
        return Extent(records[0].sequence, records[-1].sequence, min(record.request_time for record in records))

    async def last_sequence(self) -> int:
        """See HotRecords."""
        self._reach()
        return self._last

    async def following(
        self, after: int, limit: int, query: RecordQuery | None = None, *, bodies: bool = False
    ) -> RecordFile | Sequence[Record]:
        """See HotRecords."""
        self._reach()
        files = sorted(self._live(FileKind.RECORDS), key=lambda file: file.last_sequence)
        for file in files:
            if file.last_sequence > after:
                return file
        found = [
            record
            for record in self._records.values()
            if record.sequence > after and (query is None or query.admits(record))
        ][:limit]
        if bodies:
            return found[: fitting(record.body_bytes for record in found)]
        return [_plain(record) for record in found]

    async def preceding(
        self, query: RecordQuery, before: int | None, limit: int
    ) -> tuple[Sequence[Record], Sequence[RecordFile]]:
        """See HotRecords."""
        self._reach()
        found = [
            _plain(record)
            for record in reversed(self._records.values())
            if query.admits(record) and (before is None or record.sequence < before)
        ]
        files = [file for file in self._live(FileKind.RECORDS) if before is None or file.first_sequence < before]
        return found[:limit], sorted(files, key=lambda file: -file.last_sequence)

    async def files(self, kind: FileKind, request_ids: Collection[str]) -> Sequence[RecordFile]:
        """See HotRecords."""
        self._reach()
        return [
            file
            for file in self._live(kind)
            if any(file.first_request_id <= each <= file.last_request_id for each in request_ids)
        ]

    async def announce(self, files: Sequence[RecordFile]) -> None:
        """See HotRecords."""
        self._reach()
        for file in files:
            self._files[file.digest] = _Listed(file, "pending", self._now())

    async def replace(self, files: Sequence[RecordFile]) -> None:
        """See HotRecords."""
        self._reach()
        listed = [self._files.get(file.digest) for file in files]
        main = next(file for file in files if file.kind is FileKind.RECORDS)
        moved = [
            record.request_id
            for record in self._records.values()
            if main.first_sequence <= record.sequence <= main.last_sequence
        ]
        if any(each is None or each.state != "pending" for each in listed) or len(moved) != main.row_count:
            raise RotationLost()
        for each in listed:
            assert each is not None
            each.state = "live"
        for request_id in moved:
            del self._records[request_id]

    async def retire(self, kind: FileKind, older_than: datetime.datetime) -> int:
        """See HotRecords."""
        self._reach()
        retired = [each for each in self._files.values() if each.state == "live" and each.file.kind is kind]
        retired = [each for each in retired if each.file.last_time < older_than]
        for each in retired:
            each.state = "retired"
        return len(retired)

    async def unneeded(self, announced_before_s: float) -> Sequence[str]:
        """See HotRecords."""
        self._reach()
        since = self._now() - datetime.timedelta(seconds=announced_before_s)
        for each in self._files.values():
            if each.state == "pending" and each.change_time <= since:
                each.state = "retired"
        return [digest for digest, each in self._files.items() if each.state == "retired"]

    async def forget_file(self, digest: str) -> None:
        """See HotRecords."""
        self._reach()
        self._files.pop(digest, None)

    async def cursor(self, name: str) -> int:
        """See HotRecords."""
        self._reach()
        return self._cursors.setdefault(name, self._last)

    async def advance(self, name: str, after: int, to: int) -> bool:
        """See HotRecords."""
        self._reach()
        if self._cursors.get(name) != after:
            return False
        self._cursors[name] = to
        return True

    def _live(self, kind: FileKind) -> list[RecordFile]:
        return [each.file for each in self._files.values() if each.state == "live" and each.file.kind is kind]

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("The records cannot be reached.")


def _plain(record: Record) -> Record:
    return record._replace(request_body=None, response_body=None)

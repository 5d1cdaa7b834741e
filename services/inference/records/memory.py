"""Records in memory; same contract as postgres.py."""

import dataclasses
from collections.abc import Sequence

from headwater.errors import Unavailable
from headwater.names import InferenceRecordName
from services.inference.records.model import Record, RecordNotFound
from services.inference.records.store import RecordStore


class MemoryRecords(RecordStore):
    """See RecordStore. ``away`` makes it unreachable, for tests of what happens then."""

    def __init__(self) -> None:
        self.away = False
        self._records: dict[str, Record] = {}

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore."""
        self._reach()
        for record in records:
            numbered = dataclasses.replace(record, sequence=len(self._records) + 1)
            self._records.setdefault(record.request_id, numbered)

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        self._reach()
        record = self._records.get(name.record)
        if record is None or record.project != name.project:
            raise RecordNotFound(record=name)
        return record

    async def page(self, project: str, deployment: str, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        self._reach()
        found = [
            record
            for record in reversed(self._records.values())
            if record.project == project
            and deployment in ("", record.deployment)
            and (before is None or record.sequence < before)
        ]
        return found[:limit]

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("The records cannot be reached.")

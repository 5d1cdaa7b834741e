"""Where records are kept. tests/contract/inference/test_record_store.py holds every store to it.

Records are numbered in the order in which they become visible, so that whoever has read up to a number has missed
nothing below it. The newest are kept in a database; the others move, oldest first, into files (see rotation).
"""

import dataclasses
import datetime
import enum
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from headwater.errors import Aborted
from headwater.names import InferenceRecordName
from services.inference.records.model import Record, RecordQuery

BODIES_AT_ONCE = 16 * 2**20
"""Bytes of bodies that are read at once: of many small requests, or of a few large ones."""


def fitting(sizes: Iterable[int]) -> int:
    """How many of the first things of these sizes are read at once: one at least."""
    total = 0
    count = 0
    for size in sizes:
        total += size
        if count and total > BODIES_AT_ONCE:
            break
        count += 1
    return count


class RotationLost(Aborted):
    """Somebody else has moved these records."""

    reason = "ROTATION_LOST"
    text = "The records have been moved by somebody else."


class FileKind(enum.StrEnum):
    """What a file holds."""

    RECORDS = "records"
    BODIES = "bodies"


@dataclasses.dataclass(frozen=True, slots=True)
class RecordFile:
    """A Parquet file of records with adjacent numbers, or of their bodies."""

    digest: str
    kind: FileKind
    first_sequence: int
    last_sequence: int
    first_request_id: str
    last_request_id: str
    first_time: datetime.datetime
    last_time: datetime.datetime
    row_count: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """The records in the database: their numbers, and when the oldest of them was asked for."""

    first_sequence: int
    last_sequence: int
    first_time: datetime.datetime


class RecordStore(Protocol):
    """Records of requests, in their order of arrival."""

    async def append(self, records: Sequence[Record]) -> None:
        """Keep these records; all of them or none. One that is there already stays as it is, so that it is safe to try
        again.

        Raises:
            Unavailable: the store is away.
        """

    async def get(self, name: InferenceRecordName) -> Record:
        """The record with its bodies, or raise RecordNotFound."""

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """Records newest first, without bodies: those with a ``sequence`` below ``before``."""

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """Those of the ids that there are records of in this project."""


class HotRecords(RecordStore, Protocol):
    """The newest records, and which files the others are in. ``get``, ``page`` and ``known`` look into no file."""

    async def extent(self) -> Extent | None:
        """Which records are here; None when none is."""

    async def last_sequence(self) -> int:
        """The number of the newest record, also if it is in a file; 0 when there is none."""

    async def following(
        self, after: int, limit: int, query: RecordQuery | None = None, *, bodies: bool = False
    ) -> RecordFile | Sequence[Record]:
        """What comes next after a number: the file that it is in, if it is in one, else records by number.

        With ``bodies``, no more than have BODIES_AT_ONCE bytes of them together, or one.
        """

    async def preceding(
        self, query: RecordQuery, before: int | None, limit: int
    ) -> tuple[Sequence[Record], Sequence[RecordFile]]:
        """As ``page``, together with the files, newest first, in which those before them are."""

    async def files(self, kind: FileKind, request_ids: Collection[str]) -> Sequence[RecordFile]:
        """The files in which these records can be, or their bodies."""

    async def announce(self, files: Sequence[RecordFile]) -> None:
        """Note files that are about to be written, so that none is left behind unnoticed."""

    async def replace(self, files: Sequence[RecordFile]) -> None:
        """From now on, all at once, these records are in the files and not here any more.

        Raises:
            RotationLost: they are not here, or not all of them, or the files have been given up; nothing has changed.
        """

    async def retire(self, kind: FileKind, older_than: datetime.datetime) -> int:
        """Let go of files of which all records are older; returns how many."""

    async def unneeded(self, announced_before_s: float) -> Sequence[str]:
        """The digests of files that are not needed: retired ones, and such as were announced so long ago and never
        used; these cannot be used any more from now on."""

    async def forget_file(self, digest: str) -> None:
        """The file is not there any more."""

    async def cursor(self, name: str) -> int:
        """How far somebody has read; from the newest record on, if he begins now."""

    async def advance(self, name: str, after: int, to: int) -> bool:
        """Note that somebody has read on; false, and nothing is noted, if he was not at ``after``."""

"""All records as one: the newest from the database, the others from their files."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chassis.blobs import Blobs
from headwater.errors import DataLoss
from headwater.names import InferenceRecordName
from services.inference.records.columns import BODIES, FULL_SCHEMA, SCHEMA, condition, to_batch, to_records
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.store import FileKind, HotRecords, RecordFile, RecordStore, fitting

BATCH_ROWS = 5_000
_LAST = 2**63 - 1


class RecordsMissing(DataLoss):
    """A file has fewer records than it is listed with."""

    reason = "RECORDS_MISSING"
    text = "The file does not hold the records that it is listed with."


class Archive(RecordStore):
    """See RecordStore; ``get`` finds bodies as long as they are kept."""

    def __init__(self, hot: HotRecords, blobs: Blobs) -> None:
        self._hot = hot
        self._blobs = blobs
        self._uncertain: set[str] = set()

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore. A batch whose answer was lost may be in a file already when it comes again."""
        if again := self._uncertain.intersection(record.request_id for record in records):
            moved = await self._in_files(again)
            records = [record for record in records if record.request_id not in moved]
        try:
            await self._hot.append(records)
        except BaseException:
            self._uncertain.update(record.request_id for record in records)
            raise
        self._uncertain.clear()

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        try:
            return await self._hot.get(name)
        except RecordNotFound:
            pass
        wanted = pc.field("request_id") == name.record
        for file in await self._hot.files(FileKind.RECORDS, [name.record]):
            for table in await self._tables(file, wanted & (pc.field("project") == name.project)):
                if table.num_rows:
                    return to_records(await self._with_bodies(table))[0]
        raise RecordNotFound(record=name)

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        records, files = await self._hot.preceding(query, before, limit)
        found = list(records)
        wanted = condition(query, until=_LAST if before is None else before - 1)
        for file in files:
            if len(found) >= limit:
                break
            if _may_have(file, query):
                path = await self._blobs.local_path(file.digest)
                found += await asyncio.to_thread(_last_rows, path, wanted, limit - len(found))
        return found

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """See RecordStore."""
        known = set(await self._hot.known(project, request_ids))
        if missing := set(request_ids) - known:
            known |= await self._in_files(missing, project)
        return known

    async def last_sequence(self) -> int:
        """The number of the newest record."""
        return await self._hot.last_sequence()

    async def scan(
        self, query: RecordQuery | None, after: int, until: int, *, bodies: bool = False
    ) -> AsyncGenerator[pa.RecordBatch]:
        """The records by number, from after ``after`` to ``until``, in batches of some thousand; each exactly once,
        though some move into files meanwhile: they do so in the order in which they are read."""
        schema = FULL_SCHEMA if bodies else SCHEMA
        while after < until:
            found = await self._hot.following(after, BATCH_ROWS, query, bodies=bodies)
            if isinstance(found, RecordFile):
                if query is None or _may_have(found, query):
                    wanted = condition(query, after, until)
                    async for batch in self._file_batches(found, wanted, after + 1, until, bodies=bodies):
                        yield batch
                after = found.last_sequence
                continue
            records = [record for record in found if record.sequence <= until]
            if not records:
                return
            yield to_batch(records, schema)
            after = records[-1].sequence

    async def following(self, after: int) -> Sequence[Record]:
        """The next records by number without bodies, some thousand at most; none where ``after`` is the newest's.

        Raises:
            RecordsMissing
        """
        found = await self._hot.following(after, BATCH_ROWS)
        if not isinstance(found, RecordFile):
            return found
        wanted = condition(None, after)
        async with contextlib.aclosing(self._file_batches(found, wanted, after + 1, bodies=False)) as batches:
            if (batch := await anext(batches, None)) is None:
                raise RecordsMissing(file=found.digest, after=after, last_sequence=found.last_sequence)
            return await asyncio.to_thread(to_records, batch)

    async def _file_batches(
        self, file: RecordFile, wanted: pc.Expression, first: int, last: int = _LAST, *, bodies: bool
    ) -> AsyncGenerator[pa.RecordBatch]:
        """The rows that are wanted, all of which have numbers from ``first`` to ``last``."""
        path = await self._blobs.local_path(file.digest)
        groups = _row_groups(path, wanted, first, last)
        while (table := await asyncio.to_thread(next, groups, None)) is not None:
            while table.num_rows:
                count = fitting(_body_sizes(table)) if bodies else BATCH_ROWS
                part, table = table.slice(0, count), table.slice(count)
                part = await self._with_bodies(part) if bodies else part
                yield part.combine_chunks().to_batches()[0]

    async def _with_bodies(self, table: pa.Table) -> pa.Table:
        """The rows with their bodies, as far as they are kept."""
        ids = table.column("request_id").to_pylist()
        reasons = table.column("body_reason").to_pylist()
        recorded = [request_id for request_id, reason in zip(ids, reasons, strict=True) if reason]
        bodies: dict[str, Mapping[str, bytes | None]] = {}
        numbers = pc.min_max(table.column("sequence")).as_py()
        for file in await self._hot.files(FileKind.BODIES, recorded) if recorded else ():
            wanted = pc.field("request_id").isin(recorded)
            for found in await self._tables(file, wanted, numbers["min"], numbers["max"]):
                bodies |= {row["request_id"]: row for row in found.to_pylist()}
        for name in BODIES:
            column = [bodies[each][name] if each in bodies else None for each in ids]
            table = table.append_column(FULL_SCHEMA.field(name), pa.array(column, pa.binary()))
        return table.select(FULL_SCHEMA.names)

    async def _in_files(self, request_ids: Collection[str], project: str = "") -> set[str]:
        wanted = pc.field("request_id").isin(list(request_ids))
        if project:
            wanted &= pc.field("project") == project
        found: set[str] = set()
        for file in await self._hot.files(FileKind.RECORDS, request_ids):
            for table in await self._tables(file, wanted):
                found.update(table.column("request_id").to_pylist())
        return found

    async def _tables(
        self, file: RecordFile, wanted: pc.Expression, first: int = 0, last: int = _LAST
    ) -> Sequence[pa.Table]:
        path = await self._blobs.local_path(file.digest)
        return await asyncio.to_thread(lambda: list(_row_groups(path, wanted, first, last)))


def _may_have(file: RecordFile, query: RecordQuery) -> bool:
    """Whether the times of the file's records allow that there is one of those."""
    return (query.start is None or file.last_time >= query.start) and (query.end is None or file.first_time < query.end)


def _body_sizes(table: pa.Table) -> Iterator[int]:
    """At most so many bytes of bodies each row has."""
    columns = (table.column(name).to_pylist() for name in ("body_reason", "request_bytes", "response_bytes"))
    return (request + response if reason else 0 for reason, request, response in zip(*columns, strict=True))


def _row_groups(path: Path, wanted: pc.Expression, first: int = 0, last: int = _LAST) -> Iterator[pa.Table]:
    """The rows that are wanted of each row group that has numbers from ``first`` to ``last``. Blocks."""
    with pq.ParquetFile(path) as file:
        # Of Parquet's columns, which are the leaves of Arrow's.
        column = next(n for n in range(len(file.schema)) if file.schema.column(n).path == "sequence")
        for number in range(file.num_row_groups):
            bounds = file.metadata.row_group(number).column(column).statistics
            if bounds.max < first or bounds.min > last:
                continue
            yield file.read_row_group(number).filter(wanted)


def _last_rows(path: Path, wanted: pc.Expression, limit: int) -> Sequence[Record]:
    """The last rows that are wanted, the last one first. Blocks."""
    found: list[Record] = []
    with pq.ParquetFile(path) as file:
        for number in reversed(range(file.num_row_groups)):
            table = file.read_row_group(number).filter(wanted)
            rows = to_records(table.slice(max(table.num_rows - (limit - len(found)), 0)))
            found += itertools.islice(reversed(rows), limit - len(found))
            if len(found) == limit:
                break
    return found

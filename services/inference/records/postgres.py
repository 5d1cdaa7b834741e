"""Records in PostgreSQL, appended by the thousand."""

import dataclasses
import datetime
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from asyncpg import UniqueViolationError
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    Uuid,
    and_,
    any_,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from headwater.names import InferenceRecordName
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.store import Extent, FileKind, HotRecords, RecordFile, RotationLost, fitting
from services.inference.tables import inference_records as table
from services.inference.tables import record_cursors as cursors
from services.inference.tables import record_files as files_table

_STORED = Record._fields[:-1]  # the database makes the sequence
_BODIES = ("request_body", "response_body")
_TYPES = {
    "request_id": "uuid",
    "request_time": "timestamptz",
    "latency_ms": "float8",
    "batch_rows": "int",
    "rows": "int",
    "request_bytes": "bigint",
    "response_bytes": "bigint",
    "is_final": "boolean",
    **dict.fromkeys(_BODIES, "bytea"),
}
# For what COPY cannot do: leave alone what is there already. After a lost answer the same batch is sent again.
_APPEND = f"""
INSERT INTO inference_records ({", ".join(_STORED)})
SELECT * FROM unnest({", ".join(f"${n}::{_TYPES.get(name, 'text')}[]" for n, name in enumerate(_STORED, 1))})
ON CONFLICT (request_id) DO NOTHING
"""  # noqa: S608 (names of our own)
# Who appends does so alone, so that records become visible in the order of their numbers. Of this database only.
_ALONE = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'hw.recrd', 'big')})"
_BODY_BYTES = sum((func.coalesce(func.octet_length(table.c[name]), 0) for name in _BODIES), start=literal(0))
_FILE = [field.name for field in dataclasses.fields(RecordFile)]


class PostgresRecords(HotRecords):
    """See HotRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore."""
        if not records:
            return
        rows = [record[:-1] for record in records]
        try:
            async with self._database.asyncpg() as connection:
                await connection.execute(_ALONE)
                await connection.copy_records_to_table(table.name, records=rows, columns=_STORED)
        except UniqueViolationError:
            async with self._database.asyncpg() as connection:
                await connection.execute(_ALONE)
                await connection.execute(_APPEND, *zip(*rows, strict=True))

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        row = None
        if _is_uuid(name.record):
            query = _columns(bodies=True).where(table.c.request_id == name.record, table.c.project == name.project)
            async with self._database.transaction() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise RecordNotFound(record=name)
        return Record(*row)

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        async with self._database.transaction() as connection:
            return await _newest(connection, query, before, limit)

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """See RecordStore."""
        ids = [each for each in request_ids if _is_uuid(each)]
        query = select(table.c.request_id).where(table.c.project == project, _among(table.c.request_id, ids))
        async with self._database.transaction() as connection:
            return set((await connection.execute(query)).scalars())

    async def extent(self) -> Extent | None:
        """See HotRecords."""
        first = select(table.c.sequence, table.c.request_time).order_by(table.c.sequence).limit(1)
        async with self._database.transaction() as connection:
            oldest = (await connection.execute(first)).one_or_none()
            newest = await connection.scalar(select(func.max(table.c.sequence)))
        return None if oldest is None or newest is None else Extent(oldest.sequence, newest, oldest.request_time)

    async def last_sequence(self) -> int:
        """See HotRecords."""
        async with self._database.transaction() as connection:
            return await _last_sequence(connection)

    async def following(
        self, after: int, limit: int, query: RecordQuery | None = None, *, bodies: bool = False
    ) -> RecordFile | Sequence[Record]:
        """See HotRecords."""
        file = _live(FileKind.RECORDS).where(files_table.c.last_sequence > after)
        hot = _columns(bodies=bodies).where(table.c.sequence > after)
        if query is not None:
            hot = hot.where(*_conditions(query))
        async with self._database.transaction() as connection:
            await _one_moment(connection)
            found = (await connection.execute(file.order_by(files_table.c.last_sequence).limit(1))).one_or_none()
            if found is not None:
                return _file(found)
            if bodies:
                sizes = hot.with_only_columns(_BODY_BYTES).order_by(table.c.sequence).limit(limit)
                limit = fitting((await connection.execute(sizes)).scalars())
            return [Record(*row) for row in await connection.execute(hot.order_by(table.c.sequence).limit(limit))]

    async def preceding(
        self, query: RecordQuery, before: int | None, limit: int
    ) -> tuple[Sequence[Record], Sequence[RecordFile]]:
        """See HotRecords."""
        listed = _live(FileKind.RECORDS).order_by(files_table.c.last_sequence.desc())
        if before is not None:
            listed = listed.where(files_table.c.first_sequence < before)
        async with self._database.transaction() as connection:
            await _one_moment(connection)
            records = await _newest(connection, query, before, limit)
            return records, [_file(row) for row in await connection.execute(listed)]

    async def files(self, kind: FileKind, request_ids: Collection[str]) -> Sequence[RecordFile]:
        """See HotRecords."""
        ids = sorted({each for each in request_ids if _is_uuid(each)})
        wanted = func.unnest(literal(ids, ARRAY(Uuid(as_uuid=False)))).table_valued("id").render_derived()
        within = wanted.c.id.between(files_table.c.first_request_id, files_table.c.last_request_id)
        async with self._database.transaction() as connection:
            listed = _live(kind).where(select(1).select_from(wanted).where(within).exists())
            return [_file(row) for row in await connection.execute(listed.order_by(files_table.c.first_sequence))]

    async def announce(self, files: Sequence[RecordFile]) -> None:
        """See HotRecords."""
        rows = [{**dataclasses.asdict(file), "kind": str(file.kind), "state": "pending"} for file in files]
        async with self._database.transaction() as connection:
            await connection.execute(files_table.insert(), rows)

    async def replace(self, files: Sequence[RecordFile]) -> None:
        """See HotRecords."""
        main = next(file for file in files if file.kind is FileKind.RECORDS)
        digests = [file.digest for file in files]
        moved = delete(table).where(table.c.sequence.between(main.first_sequence, main.last_sequence))
        used = update(files_table).where(files_table.c.digest.in_(digests), files_table.c.state == "pending")
        async with self._database.transaction() as connection:
            marked = (await connection.execute(used.values(state="live", change_time=func.now()))).rowcount
            if marked != len(files) or (await connection.execute(moved)).rowcount != main.row_count:
                raise RotationLost()

    async def retire(self, kind: FileKind, older_than: datetime.datetime) -> int:
        """See HotRecords."""
        old = and_(files_table.c.state == "live", files_table.c.kind == kind, files_table.c.last_time < older_than)
        async with self._database.transaction() as connection:
            return (await connection.execute(update(files_table).where(old).values(state="retired"))).rowcount

    async def unneeded(self, announced_before_s: float) -> Sequence[str]:
        """See HotRecords."""
        since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, announced_before_s)
        given_up = and_(files_table.c.state == "pending", files_table.c.change_time <= since)
        retired = update(files_table).where(or_(files_table.c.state == "retired", given_up)).values(state="retired")
        async with self._database.transaction() as connection:
            return list((await connection.execute(retired.returning(files_table.c.digest))).scalars())

    async def forget_file(self, digest: str) -> None:
        """See HotRecords."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(files_table).where(files_table.c.digest == digest))

    async def cursor(self, name: str) -> int:
        """See HotRecords."""
        async with self._database.transaction() as connection:
            query = select(cursors.c.sequence).where(cursors.c.name == name)
            position = await connection.scalar(query)
            if position is None:
                begin = insert(cursors).values(name=name, sequence=await _last_sequence(connection))
                await connection.execute(begin.on_conflict_do_nothing())
                position = await connection.scalar(query)
        return int(position or 0)

    async def advance(self, name: str, after: int, to: int) -> bool:
        """See HotRecords."""
        moved = update(cursors).where(cursors.c.name == name, cursors.c.sequence == after).values(sequence=to)
        async with self._database.transaction() as connection:
            return (await connection.execute(moved)).rowcount == 1


async def _one_moment(connection: AsyncConnection) -> None:
    """Let what follows see files and records as they are at one moment: some may move between two statements."""
    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


async def _last_sequence(connection: AsyncConnection) -> int:
    newest = await connection.scalar(select(func.max(table.c.sequence)))
    if newest is None:
        newest = await connection.scalar(select(func.max(files_table.c.last_sequence)))
    return int(newest or 0)


async def _newest(connection: AsyncConnection, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
    found = _columns(bodies=False).where(*_conditions(query))
    if before is not None:
        found = found.where(table.c.sequence < before)
    return [Record(*row) for row in await connection.execute(found.order_by(table.c.sequence.desc()).limit(limit))]


def _columns(*, bodies: bool) -> Select[Any]:
    return select(*(table.c[name] if bodies or name not in _BODIES else literal(None) for name in Record._fields))


def _conditions(query: RecordQuery) -> Sequence[ColumnElement[bool]]:
    column = table.c
    named = ("deployment", "model_version", "result")
    wanted = [column.project == query.project]
    wanted += [column[name] == getattr(query, name) for name in named if getattr(query, name)]
    if query.start is not None:
        wanted.append(column.request_time >= query.start)
    if query.end is not None:
        wanted.append(column.request_time < query.end)
    return wanted


def _live(kind: FileKind) -> Select[Any]:
    columns = (files_table.c[name] for name in _FILE)
    return select(*columns).where(files_table.c.state == "live", files_table.c.kind == kind)


def _file(row: Row[Any]) -> RecordFile:
    return RecordFile(**{**row._mapping, "kind": FileKind(row.kind)})


def _among(column: Any, ids: Sequence[str]) -> ColumnElement[bool]:
    """Whether the column has one of the ids, which go to the database as one value however many they are."""
    among: ColumnElement[bool] = column == any_(literal(list(ids), ARRAY(Uuid(as_uuid=False))))
    return among


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

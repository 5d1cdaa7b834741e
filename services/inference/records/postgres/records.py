"""Records in PostgreSQL: packed, one row for all of a project that are written together (docs/adr/0024)."""

import asyncio
import dataclasses
import datetime
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    Row,
    Select,
    TableValuedAlias,
    Uuid,
    and_,
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
from services.inference.records.packing import ID_BYTES, pack, split_ids, to_id_bytes
from services.inference.records.postgres import chunks as chunk_rows
from services.inference.records.store import (
    Extent,
    FileKind,
    HotRecords,
    RecordFile,
    RotationLost,
)
from services.inference.tables import record_chunks as table
from services.inference.tables import record_cursors as cursors
from services.inference.tables import record_files as files_table

# Who appends does so alone, so that records become visible in the order of their numbers. Of this database only.
_ALONE = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'hw.recrd', 'big')})"
_FILE = [field.name for field in dataclasses.fields(RecordFile)]


class PostgresRecords(HotRecords):
    """See HotRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore."""
        if not records:
            return
        chunks = await asyncio.to_thread(pack, records)
        ids = [record.request_id for record in records]
        async with self._database.asyncpg() as connection:
            await connection.execute(_ALONE)
            # Mostly one: of requests at the same time some are answered, and written, after others that came later.
            overlapping = await connection.fetch(chunk_rows.OVERLAPPING, min(ids), max(ids))
            known = {each for (found,) in overlapping for each in split_ids(found)}
            if any(not known.isdisjoint(chunk.ids) for chunk in chunks):  # a batch whose answer was lost comes again
                new = [record for record in records if to_id_bytes(record.request_id) not in known]
                chunks = await asyncio.to_thread(pack, new)
            await connection.executemany(chunk_rows.APPEND, [chunk_rows.to_facts(chunk) for chunk in chunks])

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        if not _is_uuid(name.record):
            raise RecordNotFound(record=name)
        column = table.c
        among = and_(column.last_request_id >= name.record, column.first_request_id <= name.record)
        candidates = chunk_rows.select_chunks(bodies=False).where(column.project == name.project, among)
        async with self._database.transaction() as connection:
            for row in await connection.execute(candidates):
                packed = chunk_rows.to_packed(row)
                if (place := packed.find(name.record)) is not None:
                    start, size_bytes = packed.body_span(place)
                    part = func.substring(column.bodies, start + 1, size_bytes)
                    bodies = select(part).where(column.last_sequence == row.last_sequence)
                    return packed.record(place, bodies=await connection.scalar(bodies) if size_bytes else b"")
        raise RecordNotFound(record=name)

    async def page(self, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        async with self._database.transaction() as connection:
            return await chunk_rows.newest(connection, query, before, limit)

    async def known(self, project: str, request_ids: Collection[str]) -> Collection[str]:
        """See RecordStore."""
        wanted = {to_id_bytes(each): each for each in request_ids if _is_uuid(each)}
        if not wanted:
            return set()
        column, ids = table.c, list(wanted.values())
        any_of_them = _unnested(ids)
        within = any_of_them.c.id.between(column.first_request_id, column.last_request_id)
        query = select(func.substring(column.content, 1, column.row_count * ID_BYTES)).where(
            column.project == project,
            column.last_request_id >= min(ids),
            column.first_request_id <= max(ids),
            select(1).select_from(any_of_them).where(within).exists(),
        )
        async with self._database.transaction() as connection:
            found = (await connection.execute(query)).scalars()
            return {wanted[each] for ids in found for each in split_ids(ids) if each in wanted}

    async def extent(self) -> Extent | None:
        """See HotRecords."""
        first = select(table.c.first_sequence, table.c.first_time).order_by(table.c.last_sequence).limit(1)
        async with self._database.transaction() as connection:
            oldest = (await connection.execute(first)).one_or_none()
            newest = await connection.scalar(select(func.max(table.c.last_sequence)))
        return None if oldest is None or newest is None else Extent(oldest.first_sequence, newest, oldest.first_time)

    async def last_sequence(self) -> int:
        """See HotRecords."""
        async with self._database.transaction() as connection:
            return await _last_sequence(connection)

    async def following(
        self, after: int, limit: int, query: RecordQuery | None = None, *, bodies: bool = False
    ) -> RecordFile | Sequence[Record]:
        """See HotRecords."""
        file = _live(FileKind.RECORDS).where(files_table.c.last_sequence > after)
        async with self._database.transaction() as connection:
            await _one_moment(connection)
            found = (await connection.execute(file.order_by(files_table.c.last_sequence).limit(1))).one_or_none()
            if found is not None:
                return _file(found)
            return await chunk_rows.following(connection, query, after, limit, bodies=bodies)

    async def preceding(
        self, query: RecordQuery, before: int | None, limit: int
    ) -> tuple[Sequence[Record], Sequence[RecordFile]]:
        """See HotRecords."""
        listed = _live(FileKind.RECORDS).order_by(files_table.c.last_sequence.desc())
        if before is not None:
            listed = listed.where(files_table.c.first_sequence < before)
        async with self._database.transaction() as connection:
            await _one_moment(connection)
            records = await chunk_rows.newest(connection, query, before, limit)
            return records, [_file(row) for row in await connection.execute(listed)]

    async def files(self, kind: FileKind, request_ids: Collection[str]) -> Sequence[RecordFile]:
        """See HotRecords."""
        ids = sorted({each for each in request_ids if _is_uuid(each)})
        wanted = _unnested(ids)
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
        used = update(files_table).where(files_table.c.digest.in_(digests), files_table.c.state == "pending")
        async with self._database.transaction() as connection:
            marked = (await connection.execute(used.values(state="live", change_time=func.now()))).rowcount
            if marked != len(files) or await chunk_rows.remove(connection, main) != main.row_count:
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
    newest = await connection.scalar(select(func.max(table.c.last_sequence)))
    if newest is None:
        newest = await connection.scalar(select(func.max(files_table.c.last_sequence)))
    return int(newest or 0)


def _live(kind: FileKind) -> Select[Any]:
    columns = (files_table.c[name] for name in _FILE)
    return select(*columns).where(files_table.c.state == "live", files_table.c.kind == kind)


def _file(row: Row[Any]) -> RecordFile:
    return RecordFile(**{**row._mapping, "kind": FileKind(row.kind)})


def _unnested(ids: Sequence[str]) -> TableValuedAlias:
    """The ids as a table, which go to the database as one value however many they are."""
    return func.unnest(literal(list(ids), ARRAY(Uuid(as_uuid=False)))).table_valued("id").render_derived()


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

"""The rows of record_chunks: how records get into them and are read out of them."""

import asyncio
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, any_, delete, literal, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.inference.records.model import Record, RecordQuery
from services.inference.records.pacing import paced
from services.inference.records.packing import ID_BYTES, MAX_ROWS, Chunk, Packed, pack
from services.inference.records.store import BODIES_AT_ONCE, RecordFile
from services.inference.tables import record_chunks as table

_FACTS = (*(field.name for field in dataclasses.fields(Chunk)), "body_bytes")
_ROWS = f"${_FACTS.index('row_count') + 1}::int"
APPEND = f"""
INSERT INTO record_chunks (first_sequence, last_sequence, {", ".join(_FACTS)})
SELECT last - {_ROWS} + 1, last, {", ".join(f"${n}" for n in range(1, len(_FACTS) + 1))}
FROM (SELECT setval('record_numbers', nextval('record_numbers') + {_ROWS} - 1) AS last) AS numbers
"""  # noqa: S608 (names of our own)
OVERLAPPING = f"""
SELECT substring(content FOR row_count * {ID_BYTES}) FROM record_chunks
WHERE last_request_id >= $1 AND first_request_id <= $2
"""  # noqa: S608 (a number of our own)
_AT_ONCE = 16
_END = 2**62


async def newest(connection: AsyncConnection, query: RecordQuery, before: int | None, limit: int) -> Sequence[Record]:
    """The newest records of a project without bodies, of those with a number below ``before``."""
    records: list[Record] = []
    before = _END if before is None else before
    while len(records) < limit:
        # Chunks with a smaller number than this in them end before that one.
        near = and_(table.c.first_sequence < before, table.c.last_sequence < before + MAX_ROWS)
        chunks = select_chunks(bodies=False).where(near, *_conditions(query)).order_by(table.c.last_sequence.desc())
        rows = (await connection.execute(chunks.limit(_AT_ONCE))).all()
        for row in rows:
            packed = to_packed(row)
            places = reversed(packed.places(row.first_sequence, before - 1))
            records += await _read(packed.chosen(query, places), limit - len(records))
            before = row.first_sequence
        if len(rows) < _AT_ONCE:
            break
    return records


async def following(
    connection: AsyncConnection, query: RecordQuery | None, after: int, limit: int, *, bodies: bool
) -> Sequence[Record]:
    """The records with a number above ``after``, by number; with bodies as many as may be read at once."""
    records: list[Record] = []
    size_bytes = 0
    conditions = () if query is None else _conditions(query)
    while len(records) < limit:
        chunks = select_chunks(bodies=bodies).where(table.c.last_sequence > after, *conditions)
        next_ones = chunks.order_by(table.c.last_sequence).limit(1 if bodies else _AT_ONCE)
        rows = (await connection.execute(next_ones)).all()
        for row in rows:
            size_bytes += row.body_bytes if bodies else 0
            if records and size_bytes > BODIES_AT_ONCE:
                return records
            packed = to_packed(row)
            places = packed.places(after + 1, row.last_sequence)
            records += await _read(packed.chosen(query, places), limit - len(records))
            after = row.last_sequence
        if not rows:
            break
    return records


async def remove(connection: AsyncConnection, file: RecordFile) -> int:
    """Remove the records whose numbers are those of the file; returns how many there were."""
    first, last = file.first_sequence, file.last_sequence
    within = and_(table.c.first_sequence >= first, table.c.last_sequence <= last)
    whole = (await connection.execute(delete(table).where(within).returning(table.c.row_count))).scalars()
    removed = sum(map(int, whole))
    # Of chunks across the ends a part stays.
    across = and_(table.c.first_sequence <= last, table.c.last_sequence >= first)
    cut = delete(table).where(across).returning(*_columns(bodies=True))
    for row in (await connection.execute(cut)).all():
        packed = to_packed(row)
        inside = packed.places(first, last)
        removed += len(inside)
        for places in (range(inside.start), range(inside.stop, packed.row_count)):
            first_sequence = row.first_sequence + places.start
            for chunk in await asyncio.to_thread(pack, packed.chosen(None, places)):
                last_sequence = first_sequence + chunk.row_count - 1
                facts = dict(zip(_FACTS, to_facts(chunk), strict=True))
                part = table.insert().values(first_sequence=first_sequence, last_sequence=last_sequence, **facts)
                await connection.execute(part)
                first_sequence = last_sequence + 1
    return removed


def to_facts(chunk: Chunk) -> tuple[object, ...]:
    """What APPEND takes."""
    return *(getattr(chunk, name) for name in _FACTS[:-1]), len(chunk.bodies)


def _columns(*, bodies: bool) -> Sequence[ColumnElement[Any]]:
    column = table.c
    read = [
        column[name] for name in ("project", "first_sequence", "last_sequence", "row_count", "content", "body_bytes")
    ]
    return [*read, column.bodies if bodies else null().label("bodies")]


def select_chunks(*, bodies: bool) -> Select[Any]:
    """What ``to_packed`` takes."""
    return select(*_columns(bodies=bodies))


def to_packed(row: Row[Any]) -> Packed:
    """The records of a row, to be read."""
    return Packed(row.project, row.first_sequence, row.row_count, row.content, row.bodies)


def _conditions(query: RecordQuery) -> Sequence[ColumnElement[bool]]:
    """What is true of a chunk with any record that is wanted."""
    column = table.c
    named = ((query.deployment, column.deployments), (query.model_version, column.model_versions))
    wanted = [column.project == query.project]
    wanted += [literal(name) == any_(names) for name, names in (*named, (query.result, column.results)) if name]
    if query.start is not None:
        wanted.append(column.last_time >= query.start)
    if query.end is not None:
        wanted.append(column.first_time < query.end)
    return wanted


async def _read(records: Iterable[Record], limit: int) -> Sequence[Record]:
    """The first of the records, unpacked in a thread."""
    return await asyncio.to_thread(lambda: list(itertools.islice(paced(records), limit)))

"""Records in PostgreSQL, appended by the thousand."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from chassis.db.engine import Database
from headwater.names import InferenceRecordName
from services.inference.records.model import Record, RecordNotFound
from services.inference.records.store import RecordStore
from services.inference.tables import inference_records as table

# One statement for the whole batch, in one round trip. Not COPY, which cannot leave alone what is there already: after
# a lost answer the same batch is sent again.
_APPEND = """
INSERT INTO inference_records (request_id, project, deployment, model_version, model_digest, request_digest,
    response_digest, caller, request_time, latency_ms, batch_rows, rows, client_request_id)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::timestamptz[], $10::float8[], $11::int[], $12::int[], $13::text[])
ON CONFLICT (request_id) DO NOTHING
"""


class PostgresRecords(RecordStore):
    """See RecordStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, records: Sequence[Record]) -> None:
        """See RecordStore."""
        columns = zip(*(_to_row(record) for record in records), strict=True)
        async with self._database.asyncpg() as connection:
            await connection.execute(_APPEND, *(list(column) for column in columns))

    async def get(self, name: InferenceRecordName) -> Record:
        """See RecordStore."""
        row = None
        if _is_uuid(name.record):
            query = table.select().where(table.c.request_id == name.record, table.c.project == name.project)
            async with self._database.transaction() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise RecordNotFound(record=name)
        return _from_row(row)

    async def page(self, project: str, deployment: str, before: int | None, limit: int) -> Sequence[Record]:
        """See RecordStore."""
        query = table.select().where(table.c.project == project)
        if deployment:
            query = query.where(table.c.deployment == deployment)
        if before is not None:
            query = query.where(table.c.sequence < before)
        async with self._database.transaction() as connection:
            rows = await connection.execute(query.order_by(table.c.sequence.desc()).limit(limit))
            return [_from_row(row) for row in rows]


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _to_row(record: Record) -> tuple[object, ...]:
    return (
        record.request_id,
        record.project,
        record.deployment,
        record.model_version,
        record.model_digest,
        record.request_digest,
        record.response_digest,
        record.caller,
        record.request_time,
        record.latency_ms,
        record.batch_rows,
        record.rows,
        record.client_request_id,
    )


def _from_row(row: Row[Any]) -> Record:
    return Record(
        row.request_id,
        row.project,
        row.deployment,
        row.model_version,
        row.model_digest,
        row.request_digest,
        row.response_digest,
        row.caller,
        row.request_time,
        row.latency_ms,
        row.batch_rows,
        row.rows,
        row.client_request_id,
        row.sequence,
    )

"""References in PostgreSQL."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from services.inference.drift.reference import Reference
from services.inference.drift.store import MAX_LEARNED, Learned, ReferenceStore
from services.inference.drift.tables import drift_references as table

_ADAPTER: TypeAdapter[Reference] = TypeAdapter(Reference)


class PostgresReferences(ReferenceStore):
    """See ReferenceStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, of: Learned) -> Mapping[str, Reference]:
        """See ReferenceStore."""
        async with self._database.transaction() as connection:
            return await _all(connection, of)

    async def keep(self, of: Learned, references: Mapping[str, Reference]) -> Mapping[str, Reference]:
        """See ReferenceStore."""
        async with self._database.transaction() as connection:
            if references:
                await connection.execute(insert(table).values(_rows(of, references)).on_conflict_do_nothing())
                await connection.execute(_without_the_oldest(of.uid))
            return await _all(connection, of)


def _without_the_oldest(uid: str) -> Delete:
    of_one = table.c.deployment_uid == uid
    learned = (table.c.model_version, table.c.first_rows)
    newest = sa.func.max(table.c.create_time).desc()
    kept = sa.select(*learned).where(of_one).group_by(*learned).order_by(newest).limit(MAX_LEARNED)
    return table.delete().where(of_one, sa.tuple_(*learned).not_in(kept))


async def _all(connection: AsyncConnection, of: Learned) -> Mapping[str, Reference]:
    rows = await connection.execute(
        table.select().where(
            table.c.deployment_uid == of.uid,
            table.c.model_version == of.model_version,
            table.c.first_rows == of.first_rows,
        )
    )
    return {row.feature: _ADAPTER.validate_python(row.reference) for row in rows}


def _rows(of: Learned, references: Mapping[str, Reference]) -> list[dict[str, Any]]:
    return [
        {
            "deployment_uid": of.uid,
            "model_version": of.model_version,
            "first_rows": of.first_rows,
            "feature": feature,
            "reference": _ADAPTER.dump_python(reference, mode="json"),
        }
        for feature, reference in sorted(references.items())
    ]

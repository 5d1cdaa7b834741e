"""Incidents in PostgreSQL."""

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from headwater.names import IncidentName
from services.inference.incidents.model import Incident, IncidentNotFound
from services.inference.incidents.store import IncidentStore, Wanted
from services.inference.incidents.tables import incidents as table
from services.inference.kept import Kept

_KEPT = Kept(Incident, without=frozenset({"sequence"}))


class PostgresIncidents(IncidentStore):
    """See IncidentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, incident: Incident) -> None:
        """See IncidentStore."""
        async with self._database.transaction() as connection:
            await connection.execute(insert(table).values(_to_row(incident)).on_conflict_do_nothing())

    async def change(self, name: IncidentName, change: Callable[[Incident], Incident]) -> Incident:
        """See IncidentStore."""
        async with self._database.transaction() as connection:
            row = await _row(connection, name, for_update=True)
            changed = change(_from_row(row))
            values = {**_to_row(changed), "incident": _KEPT.over(row.incident, changed)}
            await connection.execute(table.update().where(table.c.id == changed.id).values(values))
        return changed

    async def get(self, name: IncidentName) -> Incident:
        """See IncidentStore."""
        async with self._database.transaction() as connection:
            return _from_row(await _row(connection, name, for_update=False))

    async def page(self, wanted: Wanted, before: int | None, limit: int) -> Sequence[Incident]:
        """See IncidentStore."""
        query = table.select().where(table.c.project == wanted.project)
        if wanted.deployment:
            query = query.where(table.c.deployment == wanted.deployment)
        if wanted.state is not None:
            query = query.where(table.c.state == wanted.state.value)
        if before is not None:
            query = query.where(table.c.sequence < before)
        async with self._database.transaction() as connection:
            rows = await connection.execute(query.order_by(table.c.sequence.desc()).limit(limit))
            return [_from_row(row) for row in rows]


async def _row(connection: AsyncConnection, name: IncidentName, *, for_update: bool) -> Row[Any]:
    row = None
    if _is_uuid(name.incident):
        query = table.select().where(table.c.id == name.incident, table.c.project == name.project)
        row = (await connection.execute(query.with_for_update() if for_update else query)).one_or_none()
    if row is None:
        raise IncidentNotFound(incident=name)
    return row


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _to_row(incident: Incident) -> Mapping[str, object]:
    return {
        "id": incident.id,
        "project": incident.project,
        "deployment": incident.deployment,
        "state": incident.state.value,
        "incident": _KEPT.dump(incident),
    }


def _from_row(row: Row[Any]) -> Incident:
    return dataclasses.replace(_KEPT.load(row.incident), sequence=row.sequence)

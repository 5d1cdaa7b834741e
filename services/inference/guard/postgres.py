"""Standings in PostgreSQL."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Insert, Update
from sqlalchemy.dialects.postgresql import insert

from chassis.db.engine import Database
from services.inference.guard.standing import Standing, StandingStore
from services.inference.guard.tables import deployment_standings as table

_ADAPTER = TypeAdapter(Standing)
_log = structlog.get_logger("inference.guard")


class PostgresStandings(StandingStore):
    """See StandingStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        """See StandingStore."""
        async with self._database.transaction() as connection:
            rows = await connection.execute(table.select().where(table.c.uid.in_(uids)))
            return {row.uid: _standing(row.uid, row.revision, row.standing) for row in rows}

    async def replace(self, standing: Standing) -> bool:
        """See StandingStore."""
        next_one = dataclasses.replace(standing, revision=standing.revision + 1)
        values = {
            "uid": standing.uid,
            "revision": next_one.revision,
            "standing": _ADAPTER.dump_python(next_one, mode="json", exclude={"revision"}),
        }
        statement: Insert | Update = insert(table).values(values).on_conflict_do_nothing()
        if standing.revision:
            unchanged = (table.c.uid == standing.uid, table.c.revision == standing.revision)
            statement = table.update().where(*unchanged).values(values)
        async with self._database.transaction() as connection:
            return (await connection.execute(statement.returning(table.c.uid))).one_or_none() is not None


def _standing(uid: str, revision: int, kept: Mapping[str, Any]) -> Standing:
    """What another release has kept in another form is forgotten: one deployment's past keeps no other from serving."""
    try:
        return _ADAPTER.validate_python({**kept, "revision": revision})
    except ValidationError as error:
        _log.warning("what is kept of a deployment's versions cannot be read", uid=uid, problems=error.error_count())
        return Standing(uid, revision=revision)

"""Standings in PostgreSQL."""

import dataclasses
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter
from sqlalchemy import Insert, Update
from sqlalchemy.dialects.postgresql import insert

from chassis.db.engine import Database
from services.inference.guard.standing import Standing, StandingStore
from services.inference.guard.tables import deployment_standings as table

_ADAPTER = TypeAdapter(Standing)


class PostgresStandings(StandingStore):
    """See StandingStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        """See StandingStore."""
        async with self._database.transaction() as connection:
            rows = await connection.execute(table.select().where(table.c.uid.in_(uids)))
            return {row.uid: _ADAPTER.validate_python({**row.standing, "revision": row.revision}) for row in rows}

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

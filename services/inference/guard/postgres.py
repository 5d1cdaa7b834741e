"""Standings in PostgreSQL."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from chassis.db.engine import Database
from services.inference.guard.standing import Standing, StandingStore
from services.inference.guard.tables import deployment_standings as table
from services.inference.kept import Kept, OfLaterRelease

_KEPT = Kept(Standing, without=frozenset({"revision", "is_unread"}))
_log = structlog.get_logger("inference.guard")


class PostgresStandings(StandingStore):
    """See StandingStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unread: dict[str, int] = {}
        """The revision, by uid, that was said to be unreadable last: once is enough."""

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        """See StandingStore."""
        async with self._database.transaction() as connection:
            rows = await connection.execute(table.select().where(table.c.uid.in_(uids)))
            return {row.uid: self._standing(row.uid, row.revision, row.standing) for row in rows}

    async def replace(self, standing: Standing) -> bool:
        """See StandingStore."""
        next_one = dataclasses.replace(standing, revision=standing.revision + 1)
        values = {"uid": standing.uid, "revision": next_one.revision, "standing": _KEPT.dump(next_one)}
        async with self._database.transaction() as connection:
            if not standing.revision:
                added = insert(table).values(values).on_conflict_do_nothing().returning(table.c.uid)
                return (await connection.execute(added)).one_or_none() is not None
            unchanged = (table.c.uid == standing.uid, table.c.revision == standing.revision)
            found = await connection.execute(select(table.c.standing).where(*unchanged).with_for_update())
            kept = found.scalar_one_or_none()
            if kept is None:
                return False
            values["standing"] = _over(kept, next_one)
            await connection.execute(table.update().where(*unchanged).values(values))
            return True

    def _standing(self, uid: str, revision: int, kept: Mapping[str, Any]) -> Standing:
        """What another release has kept in another form is left out: one deployment's past keeps no other from
        serving."""
        try:
            return dataclasses.replace(_KEPT.load(kept), revision=revision)
        except OfLaterRelease as error:
            if self._unread.get(uid) != revision:
                self._unread[uid] = revision
                _log.warning("what is kept of a deployment's versions cannot be read", uid=uid, why=error.message)
            return Standing(uid, revision=revision, is_unread=True)


def _over(kept: Mapping[str, Any], standing: Standing) -> Mapping[str, Any]:
    """With what a later release has kept beside it; where that cannot be read at all, without."""
    try:
        return _KEPT.over(kept, standing)
    except OfLaterRelease:  # an operator has decided, see Standing.is_unread
        return _KEPT.dump(standing)

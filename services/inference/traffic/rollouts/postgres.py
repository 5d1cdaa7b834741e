"""Rollouts in PostgreSQL."""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Row, Select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import DeploymentName, RolloutName
from services.inference.kept import Kept, OfLaterRelease
from services.inference.traffic.rollouts.errors import RolloutActive, RolloutNotFound
from services.inference.traffic.rollouts.model import Rollout
from services.inference.traffic.rollouts.store import Active, RolloutTx
from services.inference.traffic.rollouts.tables import rollouts

_KEPT = Kept(Rollout)
_ACTIVE = rollouts.c.active


class PostgresRollouts(RolloutTx):
    """See RolloutTx."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def now(self) -> datetime.datetime:
        """See RolloutTx."""
        now: datetime.datetime = (await self._connection.execute(sqlalchemy.select(sqlalchemy.func.now()))).scalar_one()
        return now

    async def insert(self, rollout: Rollout) -> None:
        """See RolloutTx."""
        row = insert(rollouts).values(_to_row(rollout))
        added = row.on_conflict_do_nothing(index_elements=["deployment_uid"], index_where=_ACTIVE)
        if (await self._connection.execute(added)).rowcount == 0:
            raise RolloutActive(deployment=rollout.deployment)

    async def get(self, name: RolloutName) -> Rollout:
        """See RolloutTx."""
        found = (
            await self._all(rollouts.select().where(rollouts.c.uid == name.rollout)) if _is_uid(name.rollout) else []
        )
        if not found or found[0].name != name:
            raise RolloutNotFound(rollout=name)
        return found[0]

    async def replace(self, rollout: Rollout) -> bool:
        """See RolloutTx."""
        this = rollouts.c.uid == rollout.uid, rollouts.c.revision == rollout.revision - 1
        found = await self._connection.execute(sqlalchemy.select(rollouts.c.rollout).where(*this).with_for_update())
        kept = found.scalar_one_or_none()
        if kept is None:
            return False
        values = {**_to_row(rollout), "rollout": _KEPT.over(kept, rollout)}
        await self._connection.execute(rollouts.update().where(*this).values(values))
        return True

    async def active(self) -> Active:
        """See RolloutTx."""
        understood, others = [], []
        for row in await self._connection.execute(rollouts.select().where(_ACTIVE)):
            try:
                understood.append(_from_row(row))
            except OfLaterRelease:
                others.append(RolloutName(row.project, row.deployment, row.uid))
        return Active(tuple(understood), tuple(others))

    async def active_of(self, deployment_uid: str) -> Rollout | None:
        """See RolloutTx."""
        found = await self._all(rollouts.select().where(_ACTIVE, rollouts.c.deployment_uid == deployment_uid))
        return found[0] if found else None

    async def page(self, deployment: DeploymentName, before: str, limit: int) -> Sequence[Rollout]:
        """See RolloutTx."""
        query = rollouts.select().where(
            rollouts.c.project == deployment.project, rollouts.c.deployment == deployment.deployment
        )
        if before:
            query = query.where(rollouts.c.uid < before)
        return await self._all(query.order_by(rollouts.c.uid.desc()).limit(limit))

    async def _all(self, query: Select[Any]) -> Sequence[Rollout]:
        return [_from_row(row) for row in await self._connection.execute(query)]


def _to_row(rollout: Rollout) -> Mapping[str, object]:
    return {
        "uid": rollout.uid,
        "project": rollout.deployment.project,
        "deployment": rollout.deployment.deployment,
        "deployment_uid": rollout.deployment_uid,
        "active": rollout.state.active,
        "revision": rollout.revision,
        "rollout": _KEPT.dump(rollout),
    }


def _from_row(row: Row[Any]) -> Rollout:
    return _KEPT.load(row.rollout)


def _is_uid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

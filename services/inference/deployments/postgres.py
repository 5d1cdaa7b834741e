"""Deployments in PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import sqlalchemy
import structlog
from sqlalchemy import Row, Select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.db.requests import PostgresRequests
from headwater.names import DeploymentName, ModelName, ModelVersionName
from services.inference.deployments.errors import DeploymentNotFound, ServedNameTaken
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.options import Options
from services.inference.deployments.store import DeploymentStore, DeploymentTx
from services.inference.kept import Kept, OfLaterRelease
from services.inference.models.source import Selector, SelectorKind
from services.inference.tables import deployment_changes, deployment_uses, deployments
from services.inference.traffic.rollouts.postgres import PostgresRollouts
from services.inference.traffic.rollouts.store import RolloutTx

_FORGET_INTERVAL_S = 3600
_OPTIONS = Kept(Options)
_log = structlog.get_logger("inference.deployments")


class PostgresDeployments(DeploymentStore):
    """See DeploymentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requests = PostgresRequests()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[DeploymentTx]:
        """See DeploymentStore."""
        async with self._database.transaction() as connection:
            yield _PostgresTx(connection, self._requests)

    async def forget_requests(self) -> None:
        """Remove, for ever, request ids that are past their retention (see chassis.db.requests)."""
        while True:
            async with self._database.transaction() as connection:
                await self._requests.forget_expired(connection)
            await asyncio.sleep(_FORGET_INTERVAL_S)


class _PostgresTx(DeploymentTx):
    def __init__(self, connection: AsyncConnection, requests: PostgresRequests) -> None:
        self._connection = connection
        self._requests = requests
        self._rollouts = PostgresRollouts(connection)

    @property
    def rollouts(self) -> RolloutTx:
        return self._rollouts

    async def insert(self, deployment: Deployment) -> None:
        try:
            await self._connection.execute(deployments.insert().values(_to_row(deployment)))
        except sqlalchemy.exc.IntegrityError as error:
            raise ServedNameTaken(deployment=deployment.name) from error

    async def get(self, name: DeploymentName, *, for_update: bool = False) -> Deployment:
        query = (
            deployments.select()
            .where(deployments.c.project == name.project, deployments.c.deployment == name.deployment)
            .order_by(deployments.c.archive_time.desc().nulls_first(), deployments.c.uid.desc())
            .limit(1)
        )
        row = (await self._connection.execute(query.with_for_update() if for_update else query)).one_or_none()
        if row is None:
            raise DeploymentNotFound(deployment=name)
        return _from_row(row)

    async def get_by_uid(self, uid: str) -> Deployment:
        row = (await self._connection.execute(deployments.select().where(deployments.c.uid == uid))).one_or_none()
        if row is None:
            raise DeploymentNotFound(uid=uid)
        return _from_row(row)

    async def replace(self, deployment: Deployment) -> None:
        this = deployments.c.uid == deployment.uid
        kept = await self._connection.execute(sqlalchemy.select(deployments.c.options).where(this).with_for_update())
        values = {
            **_to_row(deployment),
            "options": _OPTIONS.over(kept.scalar_one(), deployment.options),
            "change": deployment_changes.next_value(),
        }
        await self._connection.execute(deployments.update().where(this).values(values))

    async def page(self, project: str, after: str, limit: int) -> Sequence[Deployment]:
        served = deployments.select().where(deployments.c.archive_time.is_(None), deployments.c.project == project)
        query = served.where(deployments.c.deployment > after).order_by(deployments.c.deployment).limit(limit)
        return await self._all(query)

    async def all_served(self) -> Sequence[Deployment]:
        return await self._understood(deployments.select().where(deployments.c.archive_time.is_(None)))

    async def unannounced(self, limit: int) -> Sequence[Deployment]:
        changed = deployments.c.announced_change < deployments.c.change
        return await self._understood(deployments.select().where(changed).order_by(deployments.c.change).limit(limit))

    async def set_announced(self, deployment: Deployment) -> None:
        known = deployments.c.announced_change < deployment.change
        change = deployments.update().where(deployments.c.uid == deployment.uid, known)
        await self._connection.execute(change.values(announced_change=deployment.change))

    async def add_use(self, use: Use) -> None:
        row = {**_use_key(use), "announced": False}
        await self._connection.execute(insert(deployment_uses).values(row).on_conflict_do_nothing())

    async def unannounced_uses(self, limit: int) -> Sequence[Use]:
        used = deployment_uses.c
        query = (
            sqlalchemy.select(deployments, used.model.label("used_model"), used.version.label("used_version"))
            .join(deployment_uses, used.uid == deployments.c.uid)
            .where(~used.announced)
            .order_by(used.uid, used.model, used.version)
            .limit(limit)
        )
        rows = await self._connection.execute(query)
        return [
            Use(deployment, ModelVersionName(row.project, row.used_model, row.used_version))
            for row in rows
            if (deployment := _understood(row)) is not None
        ]

    async def set_use_announced(self, use: Use) -> None:
        change = deployment_uses.update().where(*(deployment_uses.c[k] == v for k, v in _use_key(use).items()))
        await self._connection.execute(change.values(announced=True))

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        return await self._requests.first_result(self._connection, method, request_id, body_digest)

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        await self._requests.remember(self._connection, method, request_id, body_digest, result)

    async def _all(self, query: Select[Any]) -> Sequence[Deployment]:
        return [_from_row(row) for row in await self._connection.execute(query)]

    async def _understood(self, query: Select[Any]) -> Sequence[Deployment]:
        rows = await self._connection.execute(query)
        return [deployment for row in rows if (deployment := _understood(row)) is not None]


def _to_row(deployment: Deployment) -> Mapping[str, object]:
    return {
        "uid": deployment.uid,
        "project": deployment.name.project,
        "deployment": deployment.name.deployment,
        "model": str(deployment.model),
        "selector_kind": deployment.selector.kind.value,
        "selector_value": deployment.selector.value,
        "options": _OPTIONS.dump(deployment.options),
        "revision": deployment.revision,
        "create_time": deployment.create_time,
        "update_time": deployment.update_time,
        "archive_time": deployment.archive_time,
        "created_by": deployment.created_by,
        "model_uid": deployment.model_uid,
    }


def _from_row(row: Row[Any]) -> Deployment:
    return Deployment(
        DeploymentName(row.project, row.deployment),
        row.uid,
        ModelName.parse(row.model),
        Selector(SelectorKind(row.selector_kind), row.selector_value),
        _OPTIONS.load(row.options),
        row.create_time,
        row.update_time,
        row.created_by,
        row.revision,
        row.archive_time,
        row.model_uid,
        row.change,
    )


def _understood(row: Row[Any]) -> Deployment | None:
    """None for what a later release has configured so that this one cannot serve it: the others go on."""
    try:
        return _from_row(row)
    except OfLaterRelease as error:
        _log.warning("a deployment cannot be served by this release", deployment=row.deployment, why=error.message)
        return None


def _use_key(use: Use) -> Mapping[str, str]:
    return {"uid": use.deployment.uid, "model": use.version.model, "version": use.version.version}

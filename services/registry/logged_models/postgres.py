"""Logged models in PostgreSQL."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import LoggedModelName, ModelVersionName
from services.registry.ids import is_id
from services.registry.logged_models.errors import LoggedModelNotFound
from services.registry.logged_models.model import DataMetric, LoggedModel, LoggedModelState
from services.registry.logged_models.store import LoggedModelStore
from services.registry.tables import model_versions, models, projects
from services.registry.tables.logged_models import logged_model_metrics, logged_models

_metric = logged_model_metrics.c


class PostgresLoggedModels(LoggedModelStore):
    """See LoggedModelStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, logged: LoggedModel) -> None:
        """See LoggedModelStore."""
        row = {
            "id": logged.id,
            "project_id": logged.project_id,
            "display_name": logged.display_name,
            "experiment": logged.experiment,
            "run_name": logged.run,
            "model_type": logged.model_type,
            "create_time": logged.create_time,
            "created_by": logged.created_by,
            **_changing(logged),
        }
        await self._connection.execute(insert(logged_models).values(row))

    async def get(self, name: LoggedModelName, *, lock: bool = False) -> LoggedModel:
        """See LoggedModelStore."""
        if is_id(name.logged_model):
            query = _all().where(logged_models.c.id == name.logged_model, projects.c.name == name.project)
            for found in await self._load(query.with_for_update(of=logged_models) if lock else query):
                return found
        raise LoggedModelNotFound(logged_model=name)

    async def update(self, logged: LoggedModel) -> None:
        """See LoggedModelStore."""
        table = logged_models
        await self._connection.execute(table.update().where(table.c.id == logged.id).values(_changing(logged)))

    async def add_metrics(self, logged: LoggedModel, metrics: Sequence[DataMetric]) -> int:
        """See LoggedModelStore."""
        if not metrics:
            return 0
        rows = [
            {
                "logged_model_id": logged.id,
                "key": metric.key,
                "step": metric.step,
                "time_us": metric.time_us,
                "run_name": metric.run,
                "data_name": metric.data_name,
                "data_digest": metric.data_digest,
                "value": metric.value,
            }
            for metric in metrics
        ]
        added = await self._connection.execute(insert(logged_model_metrics).values(rows).on_conflict_do_nothing())
        return added.rowcount

    async def _load(self, query: Select[Any]) -> list[LoggedModel]:
        rows = (await self._connection.execute(query)).all()
        ids = [row.id for row in rows]
        metrics = await self._metrics(ids)
        versions = await self._versions([str(LoggedModelName(row.project, row.id)) for row in rows])
        return [
            _logged_model(row, metrics.get(row.id, []), versions.get(str(LoggedModelName(row.project, row.id)), []))
            for row in rows
        ]

    async def _metrics(self, ids: Iterable[str]) -> dict[str, list[DataMetric]]:
        found: dict[str, list[DataMetric]] = {}
        for row in await self._connection.execute(
            select(logged_model_metrics)
            .where(_metric.logged_model_id.in_(list(ids)))
            .order_by(_metric.key, _metric.step, _metric.time_us, _metric.data_name, _metric.data_digest)
        ):
            metric = DataMetric(row.key, row.value, row.step, row.time_us, row.run_name, row.data_name, row.data_digest)
            found.setdefault(row.logged_model_id, []).append(metric)
        return found

    async def _versions(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The resource names of the versions that were made from logged models, by the latter's."""
        version = model_versions.c
        rows = await self._connection.execute(
            select(version.logged_model, projects.c.name.label("project"), models.c.name, version.version)
            .join(models, models.c.id == version.model_id)
            .join(projects, projects.c.id == models.c.project_id)
            .where(version.logged_model != "", version.logged_model.in_(names))
            .order_by(models.c.name, version.version)
        )
        found: dict[str, list[str]] = {}
        for row in rows:
            found.setdefault(row.logged_model, []).append(
                str(ModelVersionName(row.project, row.name, str(row.version)))
            )
        return found


def _all() -> Select[Any]:
    return select(logged_models, projects.c.name.label("project")).join(projects)


def _changing(logged: LoggedModel) -> dict[str, Any]:
    return {
        "state": logged.state,
        "state_message": logged.state_message,
        "parameters": dict(logged.parameters),
        "tags": dict(logged.tags),
        "files": dict(logged.files),
        "archived": logged.archived,
        "update_time": logged.update_time,
    }


def _logged_model(row: Row[Any], metrics: Sequence[DataMetric], model_versions: Sequence[str]) -> LoggedModel:
    return LoggedModel(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        display_name=row.display_name,
        experiment=row.experiment,
        run=row.run_name,
        model_type=row.model_type,
        parameters=row.parameters,
        tags=row.tags,
        create_time=row.create_time,
        created_by=row.created_by,
        update_time=row.update_time,
        state=LoggedModelState(row.state),
        state_message=row.state_message,
        archived=row.archived,
        files=row.files,
        metrics=metrics,
        model_versions=model_versions,
        sequence=row.sequence,
    )

"""Logged models in PostgreSQL."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, and_, cast, false, func, not_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ExperimentName, LoggedModelName, ModelVersionName
from services.registry.ids import is_id
from services.registry.logged_models.errors import LoggedModelNotFound
from services.registry.logged_models.model import DataMetric, LoggedModel, LoggedModelState
from services.registry.logged_models.searching import Data, Search
from services.registry.logged_models.store import LoggedModelStore
from services.registry.search.fields import Field
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import where
from services.registry.search.postgres.leaves import Leaf, test
from services.registry.search.postgres.places import InColumn, InJson, Place
from services.registry.search.postgres.search import find
from services.registry.tables import experiments, model_versions, models, projects
from services.registry.tables.logged_models import logged_model_metrics, logged_models

_LOGGED = logged_models.c
_metric = logged_model_metrics.c
_IDENTITY = ("key", "step", "time_us", "run_name", "data_name", "data_digest")


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
            "experiment_id": logged.experiment_id,
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
            rows = await self._connection.execute(query.with_for_update(of=logged_models) if lock else query)
            for found in await self._completed(rows.all(), metrics=not lock):
                return found
        raise LoggedModelNotFound(logged_model=name)

    async def search(self, project: str, search: Search) -> Sequence[tuple[LoggedModel, Position]]:
        """See LoggedModelStore."""
        places = _places(search.data)
        query = _all().where(projects.c.name == project, where(search.condition, places))
        if not search.show_archived:
            query = query.where(_LOGGED.archived.is_(False))
        if search.experiments:
            query = query.where(_LOGGED.experiment_id.in_(search.experiments))
        found = await find(
            self._connection, query, search.order, places, _LOGGED.sequence, after=search.after, limit=search.limit
        )
        loaded = await self._completed([row for row, _ in found])
        return [(logged, position) for logged, (_, position) in zip(loaded, found, strict=True)]

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

    async def _completed(self, rows: Sequence[Row[Any]], *, metrics: bool = True) -> list[LoggedModel]:
        measured = await self._metrics([row.id for row in rows]) if metrics else {}
        versions = await self._versions([str(LoggedModelName(row.project, row.id)) for row in rows])
        return [
            _logged_model(row, measured.get(row.id, []), versions.get(str(LoggedModelName(row.project, row.id)), []))
            for row in rows
        ]

    async def _metrics(self, ids: Iterable[str]) -> dict[str, list[DataMetric]]:
        series = [_metric[name] for name in ("logged_model_id", "key", "run_name", "data_name", "data_digest")]
        found: dict[str, list[DataMetric]] = {}
        for row in await self._connection.execute(
            select(logged_model_metrics)
            .ext(distinct_on(*series))
            .where(_metric.logged_model_id.in_(list(ids)))
            .order_by(*series, _metric.step.desc(), _metric.time_us.desc())
        ):
            metric = DataMetric(row.key, row.value, row.step, row.time_us, row.run_name, row.data_name, row.data_digest)
            found.setdefault(row.logged_model_id, []).append(metric)
        return {each: sorted(metrics, key=lambda metric: metric.identity) for each, metrics in found.items()}

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
    named = projects.c.name.label("project"), experiments.c.name.label("experiment")
    return (
        select(logged_models, *named)
        .join(projects, projects.c.id == _LOGGED.project_id)
        .join(experiments, experiments.c.id == _LOGGED.experiment_id)
    )


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
        experiment=str(ExperimentName(row.project, row.experiment)),
        experiment_id=row.experiment_id,
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


@dataclasses.dataclass(frozen=True, slots=True)
class _LastMetric(Place):
    """The last of the points of one metric, on some data or on any."""

    data: Sequence[Data]
    optional: bool = True
    has_nan: bool = True

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return test(leaf, self._value(leaf.field))

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(func.coalesce(self.holds(leaf), false()))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        return query, self._value(field)

    def _value(self, field: Field) -> ColumnElement[Any]:
        point = logged_model_metrics.alias().c
        on_data = [
            and_(point.data_name == each.name, *([point.data_digest == each.digest] if each.digest else []))
            for each in self.data
        ]
        return (
            select(point.value)
            .where(point.logged_model_id == _LOGGED.id, point.key == field.key, *([or_(*on_data)] if on_data else []))
            .order_by(*(point[name].desc() for name in _IDENTITY[1:]))
            .limit(1)
            .correlate(logged_models)
            .scalar_subquery()
        )


def _places(data: Sequence[Data]) -> Mapping[str, Place]:
    """Where what logged models can be searched by is."""
    plain = ("display_name", "model_type", "state", "create_time", "update_time", "created_by")
    return {
        **{name: InColumn(_LOGGED[name]) for name in plain},
        "uid": InColumn(cast(_LOGGED.id, Text).collate("C")),
        "run": InColumn(_LOGGED.run_name),
        "run_id": InColumn(func.nullif(func.split_part(_LOGGED.run_name, "/", 4), "", type_=Text), optional=True),
        "params": InJson(_LOGGED.parameters),
        "tags": InJson(_LOGGED.tags),
        "metrics": _LastMetric(data),
    }

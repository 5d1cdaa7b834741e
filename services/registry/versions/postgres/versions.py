"""Versions of models in PostgreSQL: one row each, one per file, one per metric."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, ScalarSelect, Select, Text, cast, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ModelName, ModelVersionName, ProjectName
from headwater.semver import SemVer
from services.registry.models.model import Model
from services.registry.models.postgres import is_model
from services.registry.search.fields import Kind
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import where
from services.registry.search.postgres.places import InColumn, InJson, InRows, Place
from services.registry.search.postgres.search import find
from services.registry.states import State
from services.registry.tables import (
    model_aliases,
    model_files,
    model_version_metrics,
    model_versions,
    models,
    projects,
)
from services.registry.versions.errors import ModelVersionNotFound
from services.registry.versions.model import ModelVersion, View, Which
from services.registry.versions.postgres.adding import adding
from services.registry.versions.postgres.rows import changing_row, version_of
from services.registry.versions.searching import Search
from services.registry.versions.store import VersionStore


class PostgresVersions(VersionStore):
    """See VersionStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, version: ModelVersion) -> None:
        """See VersionStore."""
        await self._connection.execute(*adding(version))

    async def get(self, name: ModelName, which: Which, *, view: View = View.FULL) -> ModelVersion:
        """See VersionStore."""
        query = select_versions(view).where(is_model(name), _is(which))
        found = await self._load(query, view)
        if not found:
            raise ModelVersionNotFound(model=name, version=which)
        return found[0]

    async def find(self, names: Sequence[ModelVersionName], *, view: View = View.BASIC) -> Sequence[ModelVersion]:
        """See VersionStore."""
        wanted = [(name.project, name.model, int(name.version)) for name in names if name.version.isdigit()]
        if not wanted:
            return []
        # Three values, however many they are: there may be thousands.
        columns = (projects.c.name, models.c.name, model_versions.c.version)
        arrays = (literal(list(values), ARRAY(column.type)) for *values, column in zip(*wanted, columns, strict=True))
        given = select(func.unnest(*arrays).table_valued("project", "model", "version").render_derived())
        return await self._load(select_versions(view).where(tuple_(*columns).in_(given)), view)

    async def search(
        self, scope: Model | ProjectName, search: Search, *, view: View = View.FULL
    ) -> Sequence[tuple[ModelVersion, Position]]:
        """See VersionStore."""
        tie: ColumnElement[Any] = model_versions.c.id
        query = select_versions(view).where(where(search.condition, _PLACES))
        if isinstance(scope, Model):
            tie = model_versions.c.version
            query = query.where(model_versions.c.model_id == scope.id)
        else:
            query = query.where(projects.c.name == scope.project)
            if not search.show_inactive:  # who asks for the versions of one model knows that it is out of use
                query = query.where(models.c.state == State.ACTIVE)
        if not search.show_inactive:
            query = query.where(model_versions.c.state == State.ACTIVE)
        found = await find(self._connection, query, search.order, _PLACES, tie, after=search.after, limit=search.limit)
        return [(version_of(row, view), position) for row, position in found]

    async def update(self, version: ModelVersion) -> None:
        """See VersionStore."""
        await self._connection.execute(
            model_versions.update().where(model_versions.c.id == version.id).values(changing_row(version))
        )

    async def _load(self, query: Select[Any], view: View) -> Sequence[ModelVersion]:
        return [version_of(row, view) for row in await self._connection.execute(query)]


_VERSION = model_versions.c
_PLACES: Mapping[str, Place] = {
    **{
        name: InColumn(_VERSION[name])
        for name in (
            "version",
            "semantic_version",
            "description",
            "architecture",
            "task",
            "source",
            "digest",
            "created_by",
            "parameter_count",
            "create_time",
            "update_time",
            "stage",
            "state",
            "format",
        )
    },
    "name": InColumn(models.c.name),
    "framework": InColumn(_VERSION.framework_name),
    "run": InColumn(_VERSION.run_name),
    "run_id": InColumn(cast(_VERSION.run_id, Text).collate("C"), optional=True),
    "annotations": InJson(_VERSION.annotations),
    "metrics": InRows(model_version_metrics, _VERSION.id, "version_id", {}, {Kind.NUMBER: "value"}, has_nan=True),
}
"""Where what versions can be searched by is."""


def select_versions(view: View) -> Select[Any]:
    """Versions with everything that is told of them, in one query."""
    of_model = (
        models.c.name.label("model"),
        models.c.state.label("model_state"),
        models.c.replacement.label("model_replacement"),
        models.c.archived_name.label("model_archived_name"),
        models.c.project_id,
        projects.c.name.label("project"),
    )
    metric = model_version_metrics.c
    of_version = metric.version_id == model_versions.c.id
    alias = model_aliases.c
    return (
        select(
            model_versions,
            *of_model,
            _files(view).label("files"),
            _gathered(metric.key, metric.key).where(of_version).scalar_subquery().label("metric_keys"),
            _gathered(metric.value, metric.key).where(of_version).scalar_subquery().label("metric_values"),
            _gathered(alias.alias, alias.alias)
            .where(alias.model_id == model_versions.c.model_id, alias.version == model_versions.c.version)
            .scalar_subquery()
            .label("aliases"),
        )
        .join(models, models.c.id == model_versions.c.model_id)
        .join(projects)
    )


def _files(view: View) -> ScalarSelect[Any]:
    file = model_files.c
    held = () if view is View.BASIC else (file.tensors, file.properties, file.facts)
    one = func.json_build_array(file.path, file.digest, file.size_bytes, file.format, *held)
    every = func.json_agg(aggregate_order_by(one, file.path), type_=JSON)
    return select(every).where(file.version_id == model_versions.c.id).scalar_subquery()


def _gathered(column: ColumnElement[Any], order: ColumnElement[Any]) -> Select[Any]:
    return select(func.array_agg(aggregate_order_by(column, order)))


def _is(which: Which) -> ColumnElement[bool]:
    if isinstance(which, SemVer):
        return model_versions.c.semantic_version == str(which)
    return model_versions.c.version == which

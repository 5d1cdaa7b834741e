"""Models and objectives in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ModelName
from headwater.semver import SemVer
from services.registry.ids import is_id
from services.registry.models.errors import ModelAlreadyExists, ModelNotFound
from services.registry.models.model import EXCLUSIVE, Comparison, Model, Objective, Stage
from services.registry.models.searching import Search
from services.registry.models.store import ModelStore
from services.registry.search.fields import Kind
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import where
from services.registry.search.postgres.places import InColumn, InJson, InRows, Place
from services.registry.search.postgres.search import find
from services.registry.states import State
from services.registry.tables import model_aliases, model_versions, models, objectives, projects

_PLACES: Mapping[str, Place] = {
    **{
        name: InColumn(models.c[name])
        for name in (
            "name",
            "name_key",
            "display_name",
            "description",
            "created_by",
            "create_time",
            "update_time",
            "state",
            "latest_version",
        )
    },
    "tags": InJson(models.c.tags),
    "aliases": InRows(model_aliases, models.c.id, "model_id", {}, {Kind.NUMBER: "version"}, key="alias"),
}
"""Where what models can be searched by is."""


def is_model(name: ModelName) -> ColumnElement[bool]:
    """Whether a row of ``models`` joined with ``projects`` is the model of this name, or of this id."""
    if is_id(name.model):
        return and_(projects.c.name == name.project, models.c.id == name.model)
    return and_(projects.c.name == name.project, models.c.name_key == name.model.lower(), models.c.name == name.model)


class PostgresModels(ModelStore):
    """See ModelStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, model: Model) -> bool:
        """See ModelStore."""
        row = {
            "id": model.id,
            "project_id": model.project_id,
            "create_time": model.create_time,
            "created_by": model.created_by,
            **_changing_row(model),
            **_name_row(model),
        }
        added = await self._connection.execute(insert(models).values(row).on_conflict_do_nothing())
        return added.rowcount == 1

    async def get(self, name: ModelName, *, lock: bool = False, settled: bool = False) -> Model:
        """See ModelStore."""
        query = _models().where(is_model(name))
        if lock or settled:
            query = query.with_for_update(of=models, read=not lock)
        found = await self._load(query)
        if not found:
            raise ModelNotFound(model=name)
        return found[0]

    async def search(self, project: str, search: Search) -> Sequence[tuple[Model, Position]]:
        """See ModelStore."""
        query = _models().where(projects.c.name == project, where(search.condition, _PLACES))
        if not search.show_inactive:
            query = query.where(models.c.state == State.ACTIVE)
        found = await find(
            self._connection, query, search.order, _PLACES, models.c.id, after=search.after, limit=search.limit
        )
        whole = await self._whole([row for row, _position in found])
        return [(model, position) for model, (_row, position) in zip(whole, found, strict=True)]

    async def update(self, model: Model) -> None:
        """See ModelStore."""
        await self._connection.execute(models.update().where(models.c.id == model.id).values(_changing_row(model)))

    async def rename(self, model: Model, before: ModelName) -> None:
        """See ModelStore."""
        row = {**_changing_row(model), **_name_row(model)}
        try:
            await self._connection.execute(models.update().where(models.c.id == model.id).values(row))
        except IntegrityError as error:
            raise ModelAlreadyExists(model=model.name) from error
        await self._connection.execute(
            models.update().where(models.c.replacement == str(before)).values(replacement=str(model.name))
        )
        old, replacement = f"{before}/versions/", model_versions.c.replacement
        await self._connection.execute(
            model_versions.update()
            .where(replacement != "", replacement.startswith(old, autoescape=True))
            .values(replacement=func.concat(f"{model.name}/versions/", func.substr(replacement, len(old) + 1)))
        )

    async def add_objective(self, objective: Objective) -> bool:
        """See ModelStore."""
        row = {
            "id": objective.id,
            "model_id": objective.model_id,
            "name": objective.objective,
            "name_key": objective.objective.lower(),
            "stage": objective.stage,
            "metric": objective.metric,
            "comparison": objective.comparison,
            "bound": objective.bound,
            "create_time": objective.create_time,
            "created_by": objective.created_by,
        }
        added = await self._connection.execute(insert(objectives).values(row).on_conflict_do_nothing())
        return added.rowcount == 1

    async def objectives(
        self, model: Model, *, stage: Stage | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Objective]:
        """See ModelStore."""
        query = select(objectives).where(objectives.c.model_id == model.id, objectives.c.name_key > after)
        if stage is not None:
            query = query.where(objectives.c.stage == stage)
        rows = await self._connection.execute(query.order_by(objectives.c.name_key).limit(limit))
        return [
            Objective(
                id=row.id,
                model_id=row.model_id,
                objective=row.name,
                stage=Stage(row.stage),
                metric=row.metric,
                comparison=Comparison(row.comparison),
                bound=row.bound,
                create_time=row.create_time,
                created_by=row.created_by,
            )
            for row in rows
        ]

    async def _load(self, query: Select[Any]) -> Sequence[Model]:
        return await self._whole((await self._connection.execute(query)).all())

    async def _whole(self, rows: Sequence[Row[Any]]) -> Sequence[Model]:
        ids = [row.id for row in rows]
        alias, version = model_aliases.c, model_versions.c
        aliases = await self._connection.execute(
            select(alias.model_id, alias.alias, alias.version).where(alias.model_id.in_(ids)).order_by(alias.alias)
        )
        stages = await self._connection.execute(
            select(version.model_id, version.stage, version.version).where(
                version.model_id.in_(ids), version.stage.in_(EXCLUSIVE)
            )
        )
        by_alias, by_stage = _grouped(aliases), _grouped(stages)
        return [_model(row, by_alias.get(row.id, {}), by_stage.get(row.id, {})) for row in rows]


def _models() -> Select[Any]:
    return select(models, projects.c.name.label("project")).join(projects)


def _grouped(rows: Iterable[Any]) -> dict[str, dict[Any, int]]:
    grouped: dict[str, dict[Any, int]] = {}
    for model_id, key, version in rows:
        grouped.setdefault(model_id, {})[key] = version
    return grouped


def _name_row(model: Model) -> Mapping[str, Any]:
    return {"name": model.model, "name_key": model.model.lower(), "archived_name": model.archived_name}


def _changing_row(model: Model) -> Mapping[str, Any]:
    return {
        "display_name": model.display_name,
        "description": model.description,
        "tags": dict(model.tags),
        "state": model.state,
        "replacement": model.replacement,
        "latest_version": model.latest_version,
        "latest_semantic_version": str(model.latest_semantic_version or ""),
        "revision": model.revision,
        "update_time": model.update_time,
    }


def _model(row: Row[Any], aliases: dict[str, int], stages: dict[int, int]) -> Model:
    return Model(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        model=row.name,
        display_name=row.display_name,
        description=row.description,
        create_time=row.create_time,
        created_by=row.created_by,
        update_time=row.update_time,
        latest_version=row.latest_version,
        latest_semantic_version=SemVer.match(row.latest_semantic_version),
        revision=row.revision,
        state=State(row.state),
        replacement=row.replacement,
        archived_name=row.archived_name,
        tags=row.tags,
        aliases=aliases,
        stages={Stage(stage): version for stage, version in stages.items()},
    )

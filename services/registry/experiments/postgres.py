"""Experiments in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, Text, and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ExperimentName
from services.registry.experiments.errors import ExperimentAlreadyExists, ExperimentNotFound
from services.registry.experiments.model import Experiment
from services.registry.experiments.store import ExperimentStore
from services.registry.ids import is_id
from services.registry.search.orders import Order
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import Places, where
from services.registry.search.postgres.places import InColumn, InJson, InUid
from services.registry.search.postgres.search import find
from services.registry.search.tree import Condition
from services.registry.states import State
from services.registry.tables import experiments, projects

_PLACES: Places = {
    "name": InColumn(func.coalesce(func.nullif(experiments.c.display_name, ""), experiments.c.name, type_=Text)),
    "experiment": InColumn(experiments.c.name),
    "uid": InUid(experiments.c.id),
    **{name: InColumn(experiments.c[name]) for name in ("display_name", "description", "created_by", "state")},
    **{name: InColumn(experiments.c[name]) for name in ("create_time", "update_time")},
    "tags": InJson(experiments.c.tags),
}


class PostgresExperiments(ExperimentStore):
    """See ExperimentStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, experiment: Experiment) -> None:
        """See ExperimentStore."""
        row = {
            "id": experiment.id,
            "project_id": experiment.project_id,
            "create_time": experiment.create_time,
            "created_by": experiment.created_by,
            **_changing_row(experiment),
        }
        added = await self._connection.execute(insert(experiments).values(row).on_conflict_do_nothing())
        if added.rowcount == 0:
            raise ExperimentAlreadyExists(experiment=experiment.name)

    async def get(self, name: ExperimentName, *, lock: bool = False, settled: bool = False) -> Experiment:
        """See ExperimentStore."""
        column = experiments.c.id if is_id(name.experiment) else experiments.c.name
        query = _experiments().where(and_(projects.c.name == name.project, column == name.experiment))
        if lock or settled:
            query = query.with_for_update(of=experiments, read=not lock)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise ExperimentNotFound(experiment=name)
        return _experiment(row)

    async def search(
        self, project: str, condition: Condition, order: Order, *, after: Position | None, limit: int
    ) -> Sequence[tuple[Experiment, Position]]:
        """See ExperimentStore."""
        query = _experiments().where(projects.c.name == project, where(condition, _PLACES))
        tie = experiments.c.id if order.keys else experiments.c.sequence
        rows = await find(self._connection, query, order, _PLACES, tie, after=after, limit=limit)
        return [(_experiment(row), position) for row, position in rows]

    async def update(self, experiment: Experiment, before: ExperimentName) -> None:
        """See ExperimentStore."""
        row = _changing_row(experiment)
        try:
            async with self._connection.begin_nested():
                await self._connection.execute(
                    experiments.update().where(experiments.c.id == experiment.id).values(row)
                )
        except IntegrityError as error:
            raise ExperimentAlreadyExists(experiment=experiment.name) from error
        if experiment.name != before:
            await self._connection.execute(
                experiments.update()
                .where(experiments.c.replacement == str(before))
                .values(replacement=str(experiment.name))
            )


def _experiments() -> Select[Any]:
    return select(experiments, projects.c.name.label("project")).join(projects)


def _changing_row(experiment: Experiment) -> Mapping[str, Any]:
    return {
        "name": experiment.experiment,
        "name_key": experiment.experiment.lower(),
        "archived_name": experiment.archived_name,
        "display_name": experiment.display_name,
        "description": experiment.description,
        "tags": dict(experiment.tags),
        "state": experiment.state,
        "replacement": experiment.replacement,
        "revision": experiment.revision,
        "update_time": experiment.update_time,
    }


def _experiment(row: Row[Any]) -> Experiment:
    return Experiment(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        experiment=row.name,
        display_name=row.display_name,
        description=row.description,
        tags=row.tags,
        create_time=row.create_time,
        created_by=row.created_by,
        update_time=row.update_time,
        state=State(row.state),
        replacement=row.replacement,
        archived_name=row.archived_name,
        revision=row.revision,
        sequence=row.sequence,
    )

"""Runs in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.reading import fetch
from headwater.names import ExperimentName, RunName
from services.registry.ids import is_id
from services.registry.metrics.model import MetricPoint, MetricSummary, ObjectPoint, Span
from services.registry.metrics.postgres import reading
from services.registry.runs.errors import RunAlreadyExists, RunNotFound
from services.registry.runs.model import MAX_CHILDREN, BriefRun, Lifecycle, Run, RunState
from services.registry.runs.store import RunQuery, RunStore
from services.registry.search.fields import Kind
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import Places
from services.registry.search.postgres.places import InColumn, InRows, InSome, InUid
from services.registry.search.postgres.rare import where_rare_first
from services.registry.search.postgres.search import find
from services.registry.tables import (
    experiments,
    latest_metrics,
    projects,
    run_data_inputs,
    run_parameters,
    run_tags,
    runs,
)
from services.registry.values import Json

# What one key and value select says nothing of the next: a plan is made for each search. It reads little, for which
# starting other processes costs more than they save.
_PLANNING = select(
    func.set_config("plan_cache_mode", "force_custom_plan", True),
    func.set_config("max_parallel_workers_per_gather", "0", True),
)
_DATA = run_data_inputs.c
_OF_DATA = ("name", "digest", "context", "dataset_version")
_TEXTS = ("display_name", "description", "created_by", "failure", "job", "parent_run")

_STATES = {int(state): state for state in RunState}
_LIFECYCLES = {int(lifecycle): lifecycle for lifecycle in Lifecycle}
_BRIEF = """
SELECT run.state, run.lifecycle, 'projects/' || project.name || '/runs/' || run.id AS name, run.id::text, project.name,
    run.project_id::text, run.display_name, run.description, run.start_time, run.end_time, run.parent_run,
    run.created_by, run.failure, run.job, 'projects/' || project.name || '/experiments/' || experiment.name,
    run.update_time, run.revision
FROM runs AS run
JOIN projects AS project ON project.id = run.project_id
JOIN experiments AS experiment ON experiment.id = run.experiment_id
WHERE run.id = ANY(CAST($1 AS uuid[]))
"""  # in the order of the fields of BriefRun

_RENAME = text("""
UPDATE runs SET "references" = (
    SELECT jsonb_agg(
        CASE WHEN starts_with(name || '/', CAST(:before AS text) || '/')
        THEN CAST(:after AS text) || substr(name, length(CAST(:before AS text)) + 1) ELSE name END
        ORDER BY place
    )
    FROM jsonb_array_elements_text("references") WITH ORDINALITY AS each (name, place)
)
WHERE "references" <> '[]' AND (strpos("references"::text, :whole) > 0 OR strpos("references"::text, :part) > 0)
""")  # names have no characters that JSON writes otherwise


class PostgresRuns(RunStore):
    """See RunStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, run: Run) -> None:
        """See RunStore."""
        row = {
            "id": run.id,
            "project_id": run.project_id,
            "annotations": dict(run.annotations),
            "parent_run": run.parent_run,
            "created_by": run.created_by,
            "job": run.job,
            "parameters": dict(run.parameters),
            **_changing_row(run),
        }
        added = await self._connection.execute(insert(runs).values(row).on_conflict_do_nothing(index_elements=["id"]))
        if not added.rowcount:
            raise RunAlreadyExists(run=run.name)

    async def get(self, name: RunName, *, lock: bool = False, whole: bool = False) -> Run:
        """See RunStore."""
        if not is_id(name.run):
            raise RunNotFound(run=name)
        if lock:  # first: joined to its experiment, a run that moves to another while it is waited for is not found
            await self._connection.execute(select(runs.c.id).where(runs.c.id == name.run).with_for_update())
        query = _runs().where(runs.c.id == name.run, projects.c.name == name.project)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise RunNotFound(run=name)
        metrics = await reading.summaries(self._connection, [row.id])
        if not whole:
            return _run(row, metrics.get(row.id, {}))
        objects = await reading.latest_objects(self._connection, row.id)
        return _run(row, metrics.get(row.id, {}), objects, await self._children(name))

    async def find(self, names: Collection[str]) -> Sequence[BriefRun]:
        """See RunStore."""
        wanted = set(names)
        ids = [run for run in (name.rpartition("/")[2] for name in wanted) if is_id(run)]
        rows = await fetch(self._connection, _BRIEF, ids) if ids else []
        found = [BriefRun(_STATES[state], _LIFECYCLES[lifecycle], *values) for state, lifecycle, *values in rows]
        return [run for run in found if run.name in wanted]

    async def search(self, query: RunQuery, *, after: Position | None, limit: int) -> Sequence[tuple[Run, Position]]:
        """See RunStore."""
        await self._connection.execute(_PLANNING)
        places = _places(query.project_id)
        condition = await where_rare_first(self._connection, query.condition, places)
        selected = select(runs.c.id).where(*_conditions(query), condition)
        tie = runs.c.id if query.order.keys else runs.c.sequence
        found = await find(self._connection, selected, query.order, places, tie, after=after, limit=limit)
        ids = [row.id for row, _position in found]
        rows = (await self._connection.execute(_runs().where(reading.same_run(runs.c.id, ids)))).all() if ids else []
        by_id = {run.id: run for run in await self._measured(rows)}
        return [(by_id[row.id], position) for row, position in found]

    async def update(self, run: Run) -> None:
        """See RunStore."""
        await self._connection.execute(
            runs.update().where(runs.c.id == run.id).values(annotations=dict(run.annotations), **_changing_row(run))
        )

    async def rename_references(self, before: str, after: str) -> None:
        """See RunStore."""
        values = {"before": before, "after": after, "whole": f'"{before}"', "part": f'"{before}/'}
        await self._connection.execute(_RENAME, values)

    async def points(self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int) -> Sequence[MetricPoint]:
        """See RunStore."""
        return await reading.points(self._connection, run.id, key, after, limit)

    async def object_points(
        self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ObjectPoint]:
        """See RunStore."""
        return await reading.object_points(self._connection, run.id, key, after, limit)

    async def sample(
        self, run_ids: Sequence[str], keys: Sequence[str], span: Span
    ) -> Sequence[tuple[str, MetricPoint]]:
        """See RunStore."""
        return await reading.sample(self._connection, run_ids, keys, span)

    async def _measured(self, rows: Sequence[Row[Any]]) -> list[Run]:
        metrics = await reading.summaries(self._connection, [row.id for row in rows])
        return [_run(row, metrics.get(row.id, {})) for row in rows]

    async def _children(self, name: RunName) -> tuple[str, ...]:
        rows = await self._connection.execute(
            select(runs.c.id, projects.c.name)
            .join(projects, projects.c.id == runs.c.project_id)
            .where(runs.c.parent_run == str(name))
            .order_by(runs.c.sequence)
            .limit(MAX_CHILDREN)
        )
        return tuple(str(RunName(project, run_id)) for run_id, project in rows)


def _places(project_id: str) -> Places:
    """Where what runs are searched by is, within one project."""
    scope = {"project_id": project_id}
    texts = {Kind.TEXT: "text"}
    return {
        "uid": InUid(runs.c.id),
        **{name: InColumn(runs.c[name]) for name in (*_TEXTS, "state", "start_time", "update_time")},
        "end_time": InColumn(runs.c.end_time, optional=True),
        "metrics": InRows(latest_metrics, runs.c.id, "run_id", scope, {Kind.NUMBER: "value"}, has_nan=True),
        "params": InRows(run_parameters, runs.c.id, "run_id", scope, {Kind.NUMBER: "number", **texts}),
        "tags": InRows(run_tags, runs.c.id, "run_id", scope, texts),
        **{f"datasets.{name}": InSome(runs.c.id, _DATA.run_id, _DATA[name]) for name in _OF_DATA},
    }


def _conditions(query: RunQuery) -> list[Any]:
    conditions = [runs.c.project_id == query.project_id]
    if query.experiment_ids is not None:
        conditions.append(reading.same_run(runs.c.experiment_id, query.experiment_ids))
    if query.parent_run:
        conditions.append(runs.c.parent_run == query.parent_run)
    if query.lifecycle is not None:
        conditions.append(runs.c.lifecycle == query.lifecycle)
    return conditions


def _runs() -> Select[Any]:
    """Runs and the names of their projects and experiments."""
    names = projects.c.name.label("project"), experiments.c.name.label("experiment")
    of_run = runs.join(projects, projects.c.id == runs.c.project_id)
    return select(*runs.c, *names).select_from(of_run.join(experiments, experiments.c.id == runs.c.experiment_id))


def _changing_row(run: Run) -> Mapping[str, Any]:
    return {
        "display_name": run.display_name,
        "description": run.description,
        "state": run.state,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "tags": dict(run.tags),
        "failure": run.failure,
        "experiment_id": run.experiment_id,
        "references": list(run.references),
        "lifecycle": run.lifecycle,
        "revision": run.revision,
        "update_time": run.update_time,
    }


def _run(
    row: Row[Any],
    metrics: Mapping[str, MetricSummary],
    latest_objects: Mapping[str, Json] | None = None,
    child_runs: tuple[str, ...] = (),
) -> Run:
    return Run(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        display_name=row.display_name,
        description=row.description,
        state=RunState(row.state),
        start_time=row.start_time,
        end_time=row.end_time,
        parameters=row.parameters,
        tags=row.tags,
        annotations=row.annotations,
        parent_run=row.parent_run,
        created_by=row.created_by,
        failure=row.failure,
        job=row.job,
        experiment=str(ExperimentName(row.project, row.experiment)),
        experiment_id=row.experiment_id,
        update_time=row.update_time,
        references=tuple(row.references),
        lifecycle=Lifecycle(row.lifecycle),
        revision=row.revision,
        metrics=metrics,
        latest_objects=latest_objects or {},
        child_runs=child_runs,
        sequence=row.sequence,
    )

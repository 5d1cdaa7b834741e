"""Runs in PostgreSQL. Metric points have their own way in: ``metrics/postgres.py``."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import RunName
from services.registry.ids import is_id
from services.registry.metrics.model import MetricPoint, MetricSummary, ObjectPoint
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Run, RunState
from services.registry.runs.store import RunStore
from services.registry.tables import metric_objects, metric_points, metric_summaries, projects, runs
from services.registry.values import Json


class PostgresRuns(RunStore):
    """See RunStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, run: Run) -> None:
        """See RunStore."""
        row = {
            "id": run.id,
            "project_id": run.project_id,
            "display_name": run.display_name,
            "description": run.description,
            "state": run.state,
            "start_time": run.start_time,
            "end_time": run.end_time,
            "parameters": dict(run.parameters),
            "tags": dict(run.tags),
            "annotations": dict(run.annotations),
            "parent_run": run.parent_run,
            "created_by": run.created_by,
            "failure": run.failure,
            "job": run.job,
        }
        await self._connection.execute(insert(runs).values(row))

    async def get(self, name: RunName, *, lock: bool = False) -> Run:
        """See RunStore."""
        if not is_id(name.run):
            raise RunNotFound(run=name)
        query = _runs().where(runs.c.id == name.run, projects.c.name == name.project)
        found = await self._load(query.with_for_update(of=runs) if lock else query)
        if not found:
            raise RunNotFound(run=name)
        return found[0]

    async def find(self, names: Sequence[RunName]) -> Sequence[Run]:
        """See RunStore."""
        ids = [name.run for name in names if is_id(name.run)]
        wanted = set(names)
        found = await self._load(_runs().where(runs.c.id.in_(ids))) if ids else []
        return [run for run in found if run.name in wanted]

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[Run]:
        """See RunStore."""
        query = _runs().where(projects.c.name == project).order_by(runs.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(runs.c.sequence < before)
        return await self._load(query)

    async def finish(self, run: Run) -> None:
        """See RunStore."""
        await self._connection.execute(
            runs.update().where(runs.c.id == run.id).values(state=run.state, end_time=run.end_time, failure=run.failure)
        )

    async def points(self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int) -> Sequence[MetricPoint]:
        """See RunStore."""
        point = metric_points.c
        query = select(point.key, point.step, point.time_us, point.value).where(
            point.run_id == run.id, point.key == key
        )
        if after is not None:
            query = query.where(tuple_(point.step, point.time_us) > after)
        rows = await self._connection.execute(query.order_by(point.step, point.time_us).limit(limit))
        return [MetricPoint(*row) for row in rows]

    async def object_points(
        self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ObjectPoint]:
        """See RunStore."""
        point = metric_objects.c
        query = select(point.key, point.step, point.time_us, point.value).where(
            point.run_id == run.id, point.key == key
        )
        if after is not None:
            query = query.where(tuple_(point.step, point.time_us) > after)
        rows = await self._connection.execute(query.order_by(point.step, point.time_us).limit(limit))
        return [ObjectPoint(*row) for row in rows]

    async def _load(self, query: Select[Any]) -> list[Run]:
        rows = (await self._connection.execute(query)).all()
        ids = [row.id for row in rows]
        summaries, objects = await self._summaries(ids), await self._latest_objects(ids)
        return [_run(row, summaries.get(row.id, {}), objects.get(row.id, {})) for row in rows]

    async def _summaries(self, ids: Sequence[str]) -> dict[str, dict[str, MetricSummary]]:
        metric = metric_summaries.c
        rows = await self._connection.execute(
            select(metric_summaries).where(metric.run_id.in_(ids)).order_by(metric.run_id, metric.key)
        )
        found: dict[str, dict[str, MetricSummary]] = {}
        for row in rows:
            summary = MetricSummary(
                row.last,
                row.last_step,
                row.last_time_us,
                math.nan if row.minimum is None else row.minimum,
                math.nan if row.maximum is None else row.maximum,
                row.point_count,
            )
            found.setdefault(row.run_id, {})[row.key] = summary
        return found

    async def _latest_objects(self, ids: Sequence[str]) -> dict[str, dict[str, Json]]:
        point = metric_objects.c
        rows = await self._connection.execute(
            select(point.run_id, point.key, point.value)
            .ext(distinct_on(point.run_id, point.key))
            .where(point.run_id.in_(ids))
            .order_by(point.run_id, point.key, point.step.desc(), point.time_us.desc())
        )
        found: dict[str, dict[str, Json]] = {}
        for run_id, key, value in rows:
            found.setdefault(run_id, {})[key] = value
        return found


def _runs() -> Select[Any]:
    return select(runs, projects.c.name.label("project")).join(projects)


def _run(row: Row[Any], metrics: dict[str, MetricSummary], objects: dict[str, Json]) -> Run:
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
        metrics=metrics,
        latest_objects=objects,
        sequence=row.sequence,
    )

"""Runs in PostgreSQL. Metric points have their own way in: ``metrics/postgres.py``."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import RunName
from services.registry.ids import is_id
from services.registry.metrics.model import MetricPoint
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Run, RunState
from services.registry.runs.store import RunStore
from services.registry.tables import latest_metrics, metric_points, projects, runs


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

    async def _load(self, query: Select[Any]) -> list[Run]:
        rows = (await self._connection.execute(query)).all()
        latest = await self._latest(row.id for row in rows)
        return [_run(row, latest.get(row.id, {})) for row in rows]

    async def _latest(self, ids: Iterable[str]) -> dict[str, dict[str, float]]:
        metric = latest_metrics.c
        rows = await self._connection.execute(
            select(metric.run_id, metric.key, metric.value).where(metric.run_id.in_(list(ids))).order_by(metric.key)
        )
        latest: dict[str, dict[str, float]] = {}
        for run_id, key, value in rows:
            latest.setdefault(run_id, {})[key] = value
        return latest


def _runs() -> Select[Any]:
    return select(runs, projects.c.name.label("project")).join(projects)


def _run(row: Row[Any], latest: dict[str, float]) -> Run:
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
        latest_metrics=latest,
        sequence=row.sequence,
    )

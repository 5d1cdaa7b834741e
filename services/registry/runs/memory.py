"""Runs in memory."""

import dataclasses
import datetime
import math
from collections.abc import Collection, Mapping, Sequence

from headwater.names import RunName
from services.registry.experiments.model import Experiment
from services.registry.metrics.model import Log, MetricPoint, MetricSummary, ObjectPoint, Span
from services.registry.run_links.model import RunLinks
from services.registry.runs.errors import RunAlreadyExists, RunNotFound
from services.registry.runs.fields import searched
from services.registry.runs.model import MAX_CHILDREN, BriefRun, Run, RunState
from services.registry.runs.open import check_open
from services.registry.runs.parameters import merged
from services.registry.runs.store import RunQuery, RunStore
from services.registry.runs.tags import merged_tags
from services.registry.search import memory
from services.registry.search.fields import Field, Kind
from services.registry.search.pages import Position, Tie
from services.registry.search.tree import Value
from services.registry.values import Json

Points = dict[tuple[str, str, int, int], float]
"""Values by run id, key, step and time."""
Objects = dict[tuple[str, str, int, int], Json]
"""Arrays and objects likewise."""


class MemoryRuns(RunStore):
    """See RunStore."""

    def __init__(
        self,
        runs: dict[str, Run],
        points: Points,
        objects: Objects,
        experiments: dict[str, Experiment],
        links: Mapping[str, RunLinks],
    ) -> None:
        self._runs = runs  # by id, oldest first
        self._points = points
        self._objects = objects
        self._experiments = experiments
        self._links = links

    async def add(self, run: Run) -> None:
        """See RunStore."""
        if run.id in self._runs:
            raise RunAlreadyExists(run=run.name)
        self._runs[run.id] = dataclasses.replace(run, sequence=len(self._runs) + 1)

    async def get(self, name: RunName, *, lock: bool = False, whole: bool = False) -> Run:
        """See RunStore."""
        run = self._runs.get(name.run)
        if run is None or run.project != name.project:
            raise RunNotFound(run=name)
        run = self._measured(run)
        if not whole:
            return run
        children = [str(each.name) for each in self._runs.values() if each.parent_run == str(name)]
        objects = self._latest_objects(run.id)
        return dataclasses.replace(run, child_runs=tuple(children[:MAX_CHILDREN]), latest_objects=objects)

    async def find(self, names: Collection[str]) -> Sequence[BriefRun]:
        """See RunStore."""
        found = (self._runs.get(name.rpartition("/")[2]) for name in set(names))
        return [run.brief for run in found if run and str(run.name) in names]

    async def search(self, query: RunQuery, *, after: Position | None, limit: int) -> Sequence[tuple[Run, Position]]:
        """See RunStore."""

        def tie(run: Run) -> Tie:
            return run.id if query.order.keys else run.sequence

        found = [self._measured(run) for run in self._runs.values() if _is_meant(run, query)]
        found = [run for run in found if memory.matches(query.condition, run, self._lookup)]
        if after is not None:
            found = memory.after(found, after, query.order, self._lookup, tie)
        ordered = memory.in_order(found, query.order, self._lookup, tie)[:limit]
        return [(run, memory.position_of(run, query.order, self._lookup, tie)) for run in ordered]

    async def update(self, run: Run) -> None:
        """See RunStore."""
        self._runs[run.id] = run

    async def rename_references(self, before: str, after: str) -> None:
        """See RunStore."""
        for run_id, run in self._runs.items():
            renamed = tuple(
                after + name.removeprefix(before) if f"{name}/".startswith(f"{before}/") else name
                for name in run.references
            )
            self._runs[run_id] = dataclasses.replace(run, references=renamed)

    async def points(self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int) -> Sequence[MetricPoint]:
        """See RunStore."""
        wanted = sorted((step, time) for (run_id, k, step, time) in self._points if (run_id, k) == (run.id, key))
        return [
            MetricPoint(key, step, time, self._points[run.id, key, step, time])
            for step, time in wanted
            if after is None or (step, time) > after
        ][:limit]

    async def object_points(
        self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ObjectPoint]:
        """See RunStore."""
        wanted = sorted((step, time) for (run_id, k, step, time) in self._objects if (run_id, k) == (run.id, key))
        return [
            ObjectPoint(key, step, time, self._objects[run.id, key, step, time])
            for step, time in wanted
            if after is None or (step, time) > after
        ][:limit]

    async def sample(
        self, run_ids: Sequence[str], keys: Sequence[str], span: Span
    ) -> Sequence[tuple[str, MetricPoint]]:
        """See RunStore."""
        picked: list[tuple[str, MetricPoint]] = []
        for run_id in run_ids:
            for key in keys:
                points = await self.points(self._runs[run_id], key, after=None, limit=len(self._points))
                within = [point for point in points if span.first_step <= point.step <= span.last_step]
                picked += [(run_id, point) for n, point in enumerate(within) if span.picks(n, len(within))]
        return picked

    async def record(self, name: RunName, log: Log, now: datetime.datetime) -> tuple[int, bool]:
        """Add what is logged; how many points were new, and whether anything changed. See MetricSink."""
        run = await self.get(name)
        check_open(name, run.state, run.lifecycle)
        changed = dataclasses.replace(
            run, parameters=merged(run.parameters, log.parameters), tags=merged_tags(run.tags, log.tags)
        )
        if run.state is RunState.SCHEDULED:
            changed = dataclasses.replace(changed, state=RunState.RUNNING, start_time=now)
        if changed != run:
            self._runs[run.id] = dataclasses.replace(changed, update_time=now, revision=run.revision + 1)
        before = len(self._points) + len(self._objects)
        batch = log.batch
        for key, step, time, value in zip(batch.keys, batch.steps, batch.times_us, batch.values, strict=True):
            self._points.setdefault((run.id, key, step, time), value)
        for point in batch.objects:
            self._objects.setdefault((run.id, *point[:3]), point.value)
        recorded = len(self._points) + len(self._objects) - before
        return recorded, bool(recorded) or changed != run

    def _measured(self, run: Run) -> Run:
        experiment = str(self._experiments[run.experiment_id].name)
        return dataclasses.replace(run, metrics=self._summaries(run.id), experiment=experiment)

    def _lookup(self, run: Run, field: Field) -> Value | tuple[Value, ...] | None:
        head, _, name = field.name.partition(".")
        if head == "datasets":
            inputs = self._links.get(run.id, RunLinks()).data_inputs
            return tuple(filter(None, (getattr(data, name) for data in inputs)))
        return _lookup(run, field)

    def _summaries(self, run_id: str) -> dict[str, MetricSummary]:
        by_key: dict[str, list[tuple[int, int, float]]] = {}
        for (owner, key, step, time_us), value in sorted(self._points.items(), key=lambda item: item[0]):
            if owner == run_id:
                by_key.setdefault(key, []).append((step, time_us, value))
        return {key: _summary(points) for key, points in by_key.items()}

    def _latest_objects(self, run_id: str) -> dict[str, Json]:
        # The last one of each key stays: they come by key, step, time.
        return {point[1]: self._objects[point] for point in sorted(self._objects) if point[0] == run_id}


def _summary(points: Sequence[tuple[int, int, float]]) -> MetricSummary:
    """Of the points of one metric by step, then time."""
    numbers = [value for _, _, value in points if not math.isnan(value)] or [math.nan]
    step, time_us, last = points[-1]
    return MetricSummary(last, step, time_us, min(numbers), max(numbers), len(points))


def _is_meant(run: Run, query: RunQuery) -> bool:
    return (
        run.project_id == query.project_id
        and (query.experiment_ids is None or run.experiment_id in query.experiment_ids)
        and query.parent_run in ("", run.parent_run)
        and query.lifecycle in (None, run.lifecycle)
    )


def _lookup(run: Run, field: Field) -> Value | None:
    match field.name:
        case "uid":
            return run.id
        case "metrics":
            return run.latest_metrics.get(field.key)
        case "tags":
            return run.tags.get(field.key)
        case "params" if field.key in run.parameters:
            text, number = searched(run.parameters[field.key])
            return number if field.kind is Kind.NUMBER else text
        case "params":
            return None
    value: Value | None = getattr(run, field.name)
    return value

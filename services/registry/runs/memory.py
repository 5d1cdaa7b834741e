"""Runs in memory."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from headwater.names import RunName
from services.registry.metrics.model import MetricBatch, MetricPoint, MetricSummary, ObjectPoint
from services.registry.runs.errors import RunFinished, RunNotFound
from services.registry.runs.model import Run, RunState
from services.registry.runs.parameters import merged
from services.registry.runs.store import RunStore
from services.registry.values import Json

Points = dict[tuple[str, str, int, int], float]
"""Values by run id, key, step and time."""
Objects = dict[tuple[str, str, int, int], Json]
"""Arrays and objects likewise."""


class MemoryRuns(RunStore):
    """See RunStore."""

    def __init__(self, runs: dict[str, Run], points: Points, objects: Objects) -> None:
        self._runs = runs  # by id, oldest first
        self._points = points
        self._objects = objects

    async def add(self, run: Run) -> None:
        """See RunStore."""
        self._runs[run.id] = dataclasses.replace(run, sequence=len(self._runs) + 1)

    async def get(self, name: RunName, *, lock: bool = False) -> Run:
        """See RunStore."""
        run = self._runs.get(name.run)
        if run is None or run.project != name.project:
            raise RunNotFound(run=name)
        return dataclasses.replace(run, metrics=self._summaries(run.id), latest_objects=self._latest_objects(run.id))

    async def find(self, names: Sequence[RunName]) -> Sequence[Run]:
        """See RunStore."""
        runs = [self._runs[name.run] for name in set(names) if name.run in self._runs]
        return [await self.get(run.name) for run in runs if run.name in names]

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[Run]:
        """See RunStore."""
        older = [
            run
            for run in reversed(self._runs.values())
            if run.project == project and (before is None or run.sequence < before)
        ]
        return [await self.get(run.name) for run in older[:limit]]

    async def finish(self, run: Run) -> None:
        """See RunStore."""
        self._runs[run.id] = run

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

    async def record(self, name: RunName, batch: MetricBatch, parameters: Mapping[str, Json]) -> tuple[int, bool]:
        """Add points and parameters; how many points were new, and whether anything changed. See MetricSink."""
        run = await self.get(name)
        if run.state is not RunState.RUNNING:
            raise RunFinished(run=name, state=run.state.name)
        together = merged(run.parameters, parameters)
        self._runs[run.id] = dataclasses.replace(run, parameters=together)
        before = len(self._points)
        for key, step, time, value in zip(batch.keys, batch.steps, batch.times_us, batch.values, strict=True):
            self._points.setdefault((run.id, key, step, time), value)
        objects_before = len(self._objects)
        for point in batch.objects:
            self._objects.setdefault((run.id, *point[:3]), point.value)
        recorded = len(self._points) - before + len(self._objects) - objects_before
        return recorded, bool(recorded) or together.keys() != run.parameters.keys()

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

"""Runs in memory."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater.names import RunName
from services.registry.metrics.model import MetricBatch, MetricPoint
from services.registry.runs.errors import RunFinished, RunNotFound
from services.registry.runs.model import Run, RunState
from services.registry.runs.parameters import merged
from services.registry.runs.store import RunStore
from services.registry.values import Json

Points = dict[tuple[str, str, int, int], float]
"""Values by run id, key, step and time."""


class MemoryRuns(RunStore):
    """See RunStore."""

    def __init__(self, runs: dict[str, Run], points: Points) -> None:
        self._runs = runs  # by id, oldest first
        self._points = points

    async def add(self, run: Run) -> None:
        """See RunStore."""
        self._runs[run.id] = dataclasses.replace(run, sequence=len(self._runs) + 1)

    async def get(self, name: RunName, *, lock: bool = False) -> Run:
        """See RunStore."""
        run = self._runs.get(name.run)
        if run is None or run.project != name.project:
            raise RunNotFound(run=name)
        return dataclasses.replace(run, latest_metrics=self._latest(run.id))

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
        recorded = len(self._points) - before
        return recorded, bool(recorded) or together.keys() != run.parameters.keys()

    def _latest(self, run_id: str) -> dict[str, float]:
        # The last one of each key stays: they come by key, step, time.
        return {point[1]: self._points[point] for point in sorted(self._points) if point[0] == run_id}

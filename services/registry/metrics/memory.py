"""Metric points in memory."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from headwater.names import RunName
from services.registry.events import Event, EventStore
from services.registry.metrics.model import MetricBatch
from services.registry.metrics.store import MetricSink
from services.registry.runs.memory import MemoryRuns
from services.registry.values import Json


class MemoryMetrics(MetricSink):
    """See MetricSink. ``transaction`` opens one on the runs and events of the store."""

    def __init__(self, transaction: Callable[[], AbstractAsyncContextManager[tuple[MemoryRuns, EventStore]]]) -> None:
        self._transaction = transaction

    async def record(self, run: RunName, batch: MetricBatch, parameters: Mapping[str, Json], event: Event) -> int:
        """See MetricSink."""
        async with self._transaction() as (runs, events):
            recorded, changed = await runs.record(run, batch, parameters)
            if changed:
                await events.append(event)
            return recorded

"""Metric points in memory."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from headwater.names import RunName
from services.registry.events import Event, EventStore
from services.registry.metrics.model import Log
from services.registry.metrics.store import MetricSink
from services.registry.runs.memory import MemoryRuns


class MemoryMetrics(MetricSink):
    """See MetricSink. ``transaction`` opens one on the runs and events of the store."""

    def __init__(self, transaction: Callable[[], AbstractAsyncContextManager[tuple[MemoryRuns, EventStore]]]) -> None:
        self._transaction = transaction

    async def record(self, run: RunName, log: Log, event: Event) -> int:
        """See MetricSink."""
        async with self._transaction() as (runs, events):
            recorded, changed = await runs.record(run, log, event.time)
            if changed:
                await events.append(event)
            return recorded

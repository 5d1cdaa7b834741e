"""Where metric points go."""

from collections.abc import Mapping
from typing import Protocol

from headwater.names import RunName
from services.registry.events import Event
from services.registry.metrics.model import MetricBatch
from services.registry.values import Json


class MetricSink(Protocol):
    """Where metric points go: the hot path, a transaction of its own."""

    async def record(self, run: RunName, batch: MetricBatch, parameters: Mapping[str, Json], event: Event) -> int:
        """Add points and parameters, and ``event`` if that changed anything. Returns how many points were new.

        The latest value of a metric is the one with the highest step, of those the latest in time. What a call costs
        does not depend on how many points there were before.

        Raises:
            RunNotFound, RunFinished
            ParameterConflict, TooManyParameters: nothing is stored.
        """

"""Where metric points go."""

from typing import Protocol

from headwater.names import RunName
from services.registry.events import Event
from services.registry.metrics.model import Log


class MetricSink(Protocol):
    """Where metric points go: the hot path, a transaction of its own."""

    async def record(self, run: RunName, log: Log, event: Event) -> int:
        """Add points, parameters and tags, and ``event`` if that changed anything. Returns how many points were new.

        The latest value of a metric is the one with the highest step, of those the latest in time. What a call costs
        does not depend on how many points there were before. A scheduled run begins with it.

        Raises:
            RunNotFound, RunFinished, RunArchived
            ParameterConflict, TooManyParameters, TooManyTags: nothing is stored.
        """

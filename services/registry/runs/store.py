"""What must be remembered of runs and their metrics."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import RunName
from services.registry.metrics.model import MetricPoint, ObjectPoint
from services.registry.runs.model import Run


class RunStore(Protocol):
    """Runs, as one transaction sees them."""

    async def add(self, run: Run) -> None:
        """Add a run; its ``sequence`` is given by the store."""

    async def get(self, name: RunName, *, lock: bool = False) -> Run:
        """The run with the last value of each of its metrics, or raise RunNotFound.

        With ``lock`` nobody else changes it or its metrics until the transaction ends.
        """

    async def find(self, names: Sequence[RunName]) -> Sequence[Run]:
        """Those of the runs that exist, in no particular order."""

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[Run]:
        """Runs older than the one with sequence ``before``, newest first."""

    async def finish(self, run: Run) -> None:
        """Store state, end time and failure of ``run``, which is locked."""

    async def points(self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int) -> Sequence[MetricPoint]:
        """Points of one metric after ``(step, time_us)``, by step, then time."""

    async def object_points(
        self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ObjectPoint]:
        """As ``points``, of a metric whose values are arrays or objects."""

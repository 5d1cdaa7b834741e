"""What must be remembered of runs and their metrics."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Protocol

from headwater.names import RunName
from services.registry.metrics.model import MetricPoint, ObjectPoint, Span
from services.registry.runs.model import BriefRun, Lifecycle, Run
from services.registry.search.orders import Order
from services.registry.search.pages import Position
from services.registry.search.tree import Condition


@dataclasses.dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs are looked for, and in which order.

    Attributes:
        project_id: those of this project.
        experiment_ids: only those of these experiments; None means of all.
        parent_run: only the children of this run, by resource name; empty means all.
        lifecycle: only those in use, or only those archived; None means all.
    """

    project_id: str
    condition: Condition
    order: Order
    experiment_ids: Sequence[str] | None = None
    parent_run: str = ""
    lifecycle: Lifecycle | None = Lifecycle.ACTIVE


class RunStore(Protocol):
    """Runs, as one transaction sees them."""

    async def add(self, run: Run) -> None:
        """Add a run; its ``sequence`` is given by the store.

        Raises:
            RunAlreadyExists: its id is that of another, in whatever project.
        """

    async def get(self, name: RunName, *, lock: bool = False, whole: bool = False) -> Run:
        """The run with the summaries of its metrics, or raise RunNotFound.

        With ``lock`` nobody else changes it or its metrics until the transaction ends; with ``whole`` it comes with its
        children and objects.
        """

    async def find(self, names: Collection[str]) -> Sequence[BriefRun]:
        """Those of the runs that exist, by resource name, in no particular order."""

    async def search(self, query: RunQuery, *, after: Position | None, limit: int) -> Sequence[tuple[Run, Position]]:
        """Runs in the order of the query after a position, each with its own."""

    async def update(self, run: Run) -> None:
        """Store what may change of ``run``, which is locked: not its metrics."""

    async def rename_references(self, before: str, after: str) -> None:
        """Let every reference to ``before``, or to something of it, be one to ``after``: it has another name now."""

    async def points(self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int) -> Sequence[MetricPoint]:
        """Points of one metric after ``(step, time_us)``, by step, then time."""

    async def object_points(
        self, run: Run, key: str, *, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ObjectPoint]:
        """As ``points``, of a metric whose values are arrays or objects; fewer, but one, where they are large."""

    async def sample(
        self, run_ids: Sequence[str], keys: Sequence[str], span: Span
    ) -> Sequence[tuple[str, MetricPoint]]:
        """The points of these metrics that ``span`` picks, with the ids of their runs; of each by step, then time."""

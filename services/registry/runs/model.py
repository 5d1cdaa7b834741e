"""Runs as values."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from headwater.names import RunName
from services.registry.metrics.model import MetricSummary
from services.registry.values import Json

MAX_PARAMETERS = 1000


class RunState(enum.IntEnum):
    """How far a run has come; the numbers are those of ``headwater.artifact.v1.Run.State``."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4


ALLOWED: Mapping[RunState, frozenset[RunState]] = {
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),  # a run cannot execute again (M-29)
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class NewRun:
    """What a caller says of a run to be; ``parent_run`` and ``job`` are resource names or empty."""

    display_name: str
    description: str
    parameters: Mapping[str, Json]
    tags: Mapping[str, str]
    annotations: Mapping[str, str]
    parent_run: str
    job: str


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One execution. ``project`` is the name of its project; ``sequence`` tells which of two is older."""

    id: str
    project: str
    project_id: str
    display_name: str
    description: str
    state: RunState
    start_time: datetime.datetime
    end_time: datetime.datetime | None
    parameters: Mapping[str, Json]
    tags: Mapping[str, str]
    annotations: Mapping[str, str]
    parent_run: str
    created_by: str
    failure: str
    job: str
    metrics: Mapping[str, MetricSummary] = dataclasses.field(default_factory=dict)
    latest_objects: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    sequence: int = 0

    @property
    def name(self) -> RunName:
        """Its resource name; the last segment is its id."""
        return RunName(self.project, self.id)

    @property
    def latest_metrics(self) -> Mapping[str, float]:
        """The last value of each metric."""
        return {key: summary.last for key, summary in self.metrics.items()}

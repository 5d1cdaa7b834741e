"""Runs as values."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import NamedTuple, Self

from headwater.names import RunName
from services.registry.metrics.model import MetricSummary
from services.registry.run_links.model import RunLinks
from services.registry.values import Json

MAX_PARAMETERS = 1000
MAX_TAGS = 1000
MAX_SAID_BYTES = 8 * 2**20
"""The parameters of a run, and its tags likewise: what fits into a message with all else."""
MAX_CHILDREN = 1000
"""Children that a run is told with."""
INHERITED = "inherit."
"""Tags whose keys begin so are taken over by the children of a run (M-31)."""


class RunState(enum.IntEnum):
    """How far a run has come; the numbers are those of ``headwater.artifact.v1.Run.State``."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4
    SCHEDULED = 5


_ENDS = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
ALLOWED: Mapping[RunState, frozenset[RunState]] = {
    RunState.SCHEDULED: _ENDS | {RunState.RUNNING},
    RunState.RUNNING: _ENDS,
    # A run cannot execute again (M-29): only logging by hand can go on.
    RunState.SUCCEEDED: frozenset({RunState.RUNNING}),
    RunState.FAILED: frozenset({RunState.RUNNING}),
    RunState.CANCELLED: frozenset({RunState.RUNNING}),
}
OPEN = frozenset({RunState.RUNNING, RunState.SCHEDULED})
"""States in which a run takes metrics and parameters."""


class Lifecycle(enum.IntEnum):
    """Whether a run is in use; the numbers are those of ``headwater.artifact.v1.Run.Lifecycle``."""

    ACTIVE = 1
    ARCHIVED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class NewRun:
    """What a caller says of a run to be; ``parent_run``, ``job`` and ``experiment`` are resource names or empty.

    ``state`` is RUNNING or SCHEDULED; it starts now unless ``start_time`` says when.
    """

    display_name: str
    description: str
    parameters: Mapping[str, Json]
    tags: Mapping[str, str]
    annotations: Mapping[str, str]
    parent_run: str
    job: str
    experiment: str = ""
    references: tuple[str, ...] = ()
    start_time: datetime.datetime | None = None
    state: RunState = RunState.RUNNING


class BriefRun(NamedTuple):
    """What is told of a run beside others: no metrics, parameters, tags, annotations and references. ``name`` and
    ``experiment`` are resource names. A tuple, since answers have thousands.
    """

    state: RunState
    lifecycle: Lifecycle
    name: str
    id: str
    project: str
    project_id: str
    display_name: str
    description: str
    start_time: datetime.datetime
    end_time: datetime.datetime | None
    parent_run: str
    created_by: str
    failure: str
    job: str
    experiment: str
    update_time: datetime.datetime
    revision: int


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One execution. ``project`` is the name of its project; ``sequence`` tells which of two is older.

    Attributes:
        experiment: the resource name of its experiment; ``experiment_id`` is its id.
        references: resource names of what it refers to (M-30).
        revision: grows with every change but those of metrics and parameters.
        child_runs: resource names of the runs that it started, oldest first, at most MAX_CHILDREN; known where one run
            is asked for.
        latest_objects: the last array or object of each metric that has them; known where one run is asked for.
        links: what it read and made; likewise.
    """

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
    experiment: str
    experiment_id: str
    update_time: datetime.datetime
    references: tuple[str, ...] = ()
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    revision: int = 1
    metrics: Mapping[str, MetricSummary] = dataclasses.field(default_factory=dict)
    latest_objects: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    child_runs: tuple[str, ...] = ()
    links: RunLinks = dataclasses.field(default_factory=RunLinks)
    sequence: int = 0

    @property
    def name(self) -> RunName:
        """Its resource name; the last segment is its id."""
        return RunName(self.project, self.id)

    @property
    def latest_metrics(self) -> Mapping[str, float]:
        """The last value of each metric."""
        return {key: summary.last for key, summary in self.metrics.items()}

    @property
    def brief(self) -> BriefRun:
        """It without what has no bounds."""
        return BriefRun(*(getattr(self, field) for field in BriefRun._fields))._replace(name=str(self.name))

    def changed(self, time: datetime.datetime, **changes: object) -> Self:
        """This run after a change."""
        return dataclasses.replace(self, **changes, update_time=time, revision=self.revision + 1)  # type: ignore[arg-type]

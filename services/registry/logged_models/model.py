"""Logged models as values."""

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping, Sequence

from headwater.names import ArtifactName, LoggedModelName

MAX_ENTRIES = 1000
"""Of parameters, of tags and of files of one logged model."""


class LoggedModelState(enum.IntEnum):
    """How far it has come; the numbers are those of ``LoggedModel.State``."""

    PENDING = 1
    READY = 2
    FAILED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class DataMetric:
    """One measured value of a logged model; ``data_name`` and ``data_digest`` are empty where it is on no data in
    particular, ``run`` where no run measured it."""

    key: str
    value: float
    step: int
    time_us: int
    run: str
    data_name: str
    data_digest: str

    @property
    def identity(self) -> tuple[str, int, int, str, str, str]:
        """What tells one point from another: all but its value."""
        return self.key, self.step, self.time_us, self.run, self.data_name, self.data_digest


def last_of_each(metrics: Iterable[DataMetric]) -> Sequence[DataMetric]:
    """The last point, by step and time, of each metric on each data by each run; by their identities."""
    last: dict[tuple[str, str, str, str], DataMetric] = {}
    for metric in sorted(metrics, key=lambda each: each.identity):
        last[metric.key, metric.run, metric.data_name, metric.data_digest] = metric
    return sorted(last.values(), key=lambda each: each.identity)


@dataclasses.dataclass(frozen=True, slots=True)
class NewLoggedModel:
    """What a caller says of a logged model to be; ``experiment`` and ``run`` are resource names or empty."""

    display_name: str
    experiment: str
    run: str
    model_type: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Additions:
    """What is added to a logged model."""

    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    removed_tags: Sequence[str] = ()
    files: Mapping[str, ArtifactName] = dataclasses.field(default_factory=dict)
    metrics: Sequence[DataMetric] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedModel:
    """A model that a run made.

    Attributes:
        experiment: the resource name of its experiment; ``experiment_id`` is its id.
        files: digests by path.
        metrics: of each metric on each data by each run the last point.
        sequence: tells which of two is older.
    """

    id: str
    project: str
    project_id: str
    display_name: str
    experiment: str
    experiment_id: str
    run: str
    model_type: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    create_time: datetime.datetime
    created_by: str
    update_time: datetime.datetime
    state: LoggedModelState = LoggedModelState.PENDING
    state_message: str = ""
    archived: bool = False
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metrics: Sequence[DataMetric] = ()
    model_versions: Sequence[str] = ()
    sequence: int = 0

    @property
    def name(self) -> LoggedModelName:
        """Its resource name; the last segment is its id."""
        return LoggedModelName(self.project, self.id)

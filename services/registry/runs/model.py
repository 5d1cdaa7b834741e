"""Runs and metrics as values."""

import array
import dataclasses
import datetime
import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headwater.names import RunName
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
    latest_metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sequence: int = 0

    @property
    def name(self) -> RunName:
        """Its resource name; the last segment is its id."""
        return RunName(self.project, self.id)


class MetricPoint(NamedTuple):
    """One measured value; ``time_us`` is microseconds since 1970 in UTC."""

    key: str
    step: int
    time_us: int
    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class MetricBatch:
    """Points by column, all of the same length: what the driver takes as it is, without a loop over points."""

    keys: Sequence[str]
    steps: Sequence[int]
    times_us: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def digest(self) -> str:
        """The SHA-256 of the columns: keys as NUL-terminated text, then the numbers as 64-bit little-endian."""
        content = hashlib.sha256(b"".join(key.encode() + b"\0" for key in self.keys))
        for code, column in (("q", self.steps), ("q", self.times_us), ("d", self.values)):
            content.update(array.array(code, column).tobytes())
        return f"sha256:{content.hexdigest()}"


def log_digest(batch: MetricBatch, parameters: Mapping[str, Json]) -> str:
    """The digest of everything that one call logs."""
    told = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(batch.digest.encode() + told.encode()).hexdigest()}"

"""A conversion job: what is asked for, how it stands, and what was found."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Any, Self

from headwater.names import ConversionJobName, ModelVersionName
from services.inference.conversions.evidence import Evidence
from services.inference.engines.options import DEFAULT, EngineOptions

MAX_ATTEMPTS = 3
"""A job whose process took the service along so often is not begun again."""


class State(enum.Enum):
    """How a job stands. The values are what the database keeps."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing comes after it."""
        return not ALLOWED[self]


ALLOWED: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""RUNNING follows RUNNING where a service ended while it worked, and another one takes the job over."""


class Target(enum.Enum):
    """What a version is made into. The values are what the database keeps, and names of candidates."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"
    ONNX_INT8 = "onnx_int8"


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """How close an answer must be to the source's: within ``absolute + relative × |expected|``, or, where
    ``min_top1_agreement`` is said, the largest number of the first output the same in so many rows."""

    absolute: float = 1e-5
    relative: float = 1e-3
    min_top1_agreement: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Conversion:
    """Make this of it."""

    target: Target


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """Find the fastest way to compute requests of ``rows`` rows, by measuring for ``seconds``; see the proto."""

    rows: int = 1
    max_batch_size: int = 32
    seconds: float = 20.0
    min_speedup: float = 1.0
    int8: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. Exactly one of ``conversion`` and ``tuning`` is set."""

    source: ModelVersionName
    conversion: Conversion | None = None
    tuning: Tuning | None = None
    engine: EngineOptions = DEFAULT
    gate: Gate = Gate()
    sample_count: int = 8
    timeout_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What has been made and uploaded, and is to be registered: whoever goes on with the job registers the same.

    Attributes:
        files: the names of artifacts by the path within the version.
        primary: the path of the file that is served, of the format ``format``.
        metadata: what is said of the version.
    """

    files: Mapping[str, str]
    primary: str
    format: str
    metadata: Mapping[str, str]
    evidence: Evidence


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One job. Times are the store's."""

    uid: str
    plan: Plan
    state: State
    create_time: datetime.datetime
    created_by: str
    attempts: int = 0
    start_time: datetime.datetime | None = None
    end_time: datetime.datetime | None = None
    failure_reason: str = ""
    failure: str = ""
    result: str = ""
    evidence: Evidence | None = None
    made: Made | None = None

    @property
    def name(self) -> ConversionJobName:
        """The resource name."""
        return ConversionJobName(self.plan.source.project, self.uid)

    def moved(self, state: State, **changes: Any) -> Self:
        """The job in its next state; raises ValueError where that cannot follow."""
        if state not in ALLOWED[self.state]:
            raise ValueError(f"{state.value} cannot follow {self.state.value}")
        return dataclasses.replace(self, state=state, **changes)

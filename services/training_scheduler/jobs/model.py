"""A training job: what it asks for, how far it has come, and what may follow what."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

from headwater.names import TrainingJobName
from services.training_scheduler.errors import IllegalTransition

Json: TypeAlias = Any
"""What JSON can say: None, bool, float, str, list and dict of these."""


class State(enum.StrEnum):
    """How far a job has come."""

    PENDING = enum.auto()
    """Waits for its turn."""
    RUNNING = enum.auto()
    """Its workers run, or ran and will run again."""
    FINISHING = enum.auto()
    """How it ends is decided and is being written to the registry."""
    SUCCEEDED = enum.auto()
    FAILED = enum.auto()
    CANCELLED = enum.auto()


ALLOWED: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.RUNNING, State.FINISHING, State.CANCELLED}),
    State.RUNNING: frozenset({State.FINISHING}),
    State.FINISHING: frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""What may follow a state. One that nothing may follow is an end, and a job reaches exactly one of them (promise 6)."""


class LauncherKind(enum.StrEnum):
    """Who places the workers."""

    LOCAL = enum.auto()
    RAY = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What one worker needs."""

    cpus: float = 1.0
    memory_bytes: int = 0
    gpus: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What to train, with what, on how much; names are resource names."""

    dataset_version: str
    code: str
    command: tuple[str, ...]
    parameters: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    worker_count: int = 1
    resources: Resources = Resources()
    launcher: LauncherKind = LauncherKind.LOCAL
    max_restarts: int = 0
    model: str = ""
    dataset_checkpoint: str = ""
    """The checkpoint whose copy is read, the last segment of its name; empty: the version's own rows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far the training has come, as its first worker tells."""

    epoch: int = 0
    epoch_count: int = 0
    step: int = 0
    step_count: int = 0
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A saved state to resume from: its bytes are a blob."""

    epoch: int
    step: int
    digest: str
    size_bytes: int
    create_time: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of a result: its path in the model version and its artifact's resource name."""

    path: str
    artifact: str


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingResult:
    """What the workers made."""

    files: tuple[ResultFile, ...]
    framework: str = ""
    framework_version: str = ""
    architecture: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a stable reason, and the end of the log for people."""

    reason: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingJob:
    """One job. ``id``, ``project``, ``spec`` and who created it when never change."""

    id: str
    project: str
    spec: TrainingSpec
    created_by: str
    create_time: datetime.datetime
    display_name: str = ""
    sequence: int = 0
    """Its place in the queue, given by the store; decides order instead of any clock (promise 18)."""
    revision: int = 0
    """Grows with every change."""
    state: State = State.PENDING
    outcome: State | None = None
    """How it will end; set while FINISHING and after."""
    fencing_token: int = 0
    """The attempt that may write; 0 until a scheduler first took the job."""
    started_token: int = 0
    """The attempt whose workers were started last."""
    attempt_count: int = 0
    """How often its workers were started."""
    restart_count: int = 0
    """How often that was because a worker had died."""
    cancel_requested: bool = False
    run: str = ""
    progress: Progress = Progress()
    checkpoint: Checkpoint | None = None
    result: TrainingResult | None = None
    model_version: str = ""
    failure: Failure | None = None
    start_time: datetime.datetime | None = None
    end_time: datetime.datetime | None = None
    warnings: tuple[str, ...] = ()
    """What who created it should know."""

    @property
    def name(self) -> str:
        """Its resource name."""
        return str(TrainingJobName(self.project, self.id))

    @property
    def ended(self) -> bool:
        """Whether it will never change again."""
        return not ALLOWED[self.state]

    def started(self, now: datetime.datetime) -> Self:
        """The workers of the present attempt are about to start."""
        job = self if self.state is State.RUNNING else self._moved(State.RUNNING)
        return dataclasses.replace(
            job,
            started_token=job.fencing_token,
            attempt_count=job.attempt_count + 1,
            start_time=job.start_time or now,
            result=None,
        )

    def decided(self, outcome: State, failure: Failure | None = None) -> Self:
        """Its workers are done; it will end as ``outcome``."""
        return dataclasses.replace(self._moved(State.FINISHING), outcome=outcome, failure=failure)

    def ended_as(self, outcome: State, now: datetime.datetime, **changes: Any) -> Self:
        """It ends."""
        return dataclasses.replace(self._moved(outcome), outcome=outcome, end_time=now, **changes)

    def _moved(self, state: State) -> Self:
        if state not in ALLOWED[self.state]:
            raise IllegalTransition(job=self.id, state=self.state, next=state)
        return dataclasses.replace(self, state=state)


def tail(text: str, lines: int = 40, characters: int = 4_000) -> str:
    """The end of a log, as it is shown for a failed job."""
    kept: Sequence[str] = text.rstrip().splitlines()[-lines:]
    return "\n".join(kept)[-characters:]

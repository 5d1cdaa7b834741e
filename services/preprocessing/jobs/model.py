"""What a preprocessing job is, and which state may follow which."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping
from typing import Final

from headwater.names import DatasetName, DatasetVersionName, PipelineVersionName, PreprocessingJobName


class State(enum.Enum):
    """How far a job has come."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return not ALLOWED[self]


ALLOWED: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    # Running may follow running: the runner that had it is gone, another goes on.
    State.RUNNING: frozenset({State.RUNNING, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How much is done."""

    chunk_count: int = 0
    done_chunk_count: int = 0
    cached_chunk_count: int = 0
    done_row_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """One application of a pipeline version to a dataset version."""

    name: PreprocessingJobName
    pipeline_version: PipelineVersionName
    dataset_version: DatasetVersionName
    output_dataset: DatasetName
    created_at: datetime.datetime
    created_by: str
    state: State = State.PENDING
    revision: int = 0
    """Grows with every change."""
    progress: Progress = Progress()
    output_version: str = ""
    output_created: bool = False
    failure_reason: str = ""
    failure: str = ""
    run: str = ""
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    warnings: tuple[str, ...] = ()
    """What who created it should know."""

    def moved(self, state: State, **changes: object) -> "Job":
        """This job in another state.

        Raises:
            ValueError: the table of transitions does not allow it.
        """
        if state not in ALLOWED[self.state]:
            raise ValueError(f"{self.state.value} → {state.value} is not allowed")
        return dataclasses.replace(self, state=state, **changes)  # type: ignore[arg-type]

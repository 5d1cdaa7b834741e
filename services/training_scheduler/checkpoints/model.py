"""A checkpoint's way from the first byte to the last, and what must stay as long as it does."""

import dataclasses
import enum

from services.training_scheduler.jobs.model import Checkpoint


class CheckpointState(enum.StrEnum):
    """How far a checkpoint has come."""

    UPLOADING = enum.auto()
    """Announced: its bytes may be stored already, and nobody may collect them."""
    COMMITTED = enum.auto()
    """A later attempt may resume from it."""
    DROPPED = enum.auto()
    """Not needed any more."""
    COLLECTING = enum.auto()
    """Its bytes are being removed; the same bytes cannot be announced until they are gone."""


KEEPING = frozenset({CheckpointState.UPLOADING, CheckpointState.COMMITTED})
"""The states in which a checkpoint keeps its bytes, which other checkpoints may share, from being collected."""


@dataclasses.dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One checkpoint of one job."""

    job_id: str
    fencing_token: int
    checkpoint: Checkpoint
    state: CheckpointState = CheckpointState.UPLOADING
    sequence: int = 0
    """Given by the store; a job's newest checkpoint is the committed one with the highest."""

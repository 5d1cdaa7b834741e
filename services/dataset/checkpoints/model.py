"""The values of checkpoints."""

import dataclasses
import datetime
import enum

from headwater.names import CheckpointName, DatasetName, DatasetVersionName
from services.dataset.model import Split


class CheckpointState(enum.Enum):
    """How far a checkpoint has come. Both ends are final."""

    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Checkpoint:
    """A version at one point in time. ``splits`` are ordered by name."""

    uid: str
    name: CheckpointName
    materialized: bool
    """Whether it holds a copy of the rows, once it is READY."""
    state: CheckpointState
    created_by: str
    create_time: datetime.datetime
    error: str = ""
    """Why it FAILED, for people."""
    digest: bytes = b""
    """The content digest of the copy."""
    splits: tuple[Split, ...] = ()
    """The splits of the copy."""
    profile: str = ""
    """The name of its profile; empty while there is nothing to profile yet."""
    number: int = dataclasses.field(default=0, compare=False)
    """Grows from checkpoint to checkpoint; the store's to give."""

    @property
    def version(self) -> DatasetVersionName:
        """The version that it is of."""
        return DatasetVersionName(self.name.project, self.name.dataset, self.name.version)

    @property
    def dataset(self) -> DatasetName:
        """Whose version that is."""
        return DatasetName(self.name.project, self.name.dataset)


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointOutcome:
    """How a checkpoint has ended."""

    state: CheckpointState
    error: str = ""
    digest: bytes = b""
    splits: tuple[Split, ...] = ()
    profile: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointClaim:
    """A checkpoint that is ours to make until the lease runs out."""

    checkpoint: Checkpoint
    token: int
    """Counts the attempts, and tells ours from one that went on in the meantime."""


def checkpoint_name(version: DatasetVersionName, checkpoint: str) -> CheckpointName:
    """The name of a checkpoint of a version, or InvalidName."""
    return CheckpointName(version.project, version.dataset, version.version, checkpoint)

"""What must be remembered of checkpoints, as a Protocol."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import CheckpointName, DatasetVersionName
from services.dataset.checkpoints.model import Checkpoint, CheckpointClaim, CheckpointOutcome


class Checkpoints(Protocol):
    """Checkpoints, the splits of their copies, and who makes them: one process at a time, by a lease.

    What a checkpoint's splits refer to stays for ever.
    """

    async def create_checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """Add a checkpoint of a version that exists; its time and number are the store's. Its splits, where it has any,
        are those of a commit.

        Raises:
            CheckpointAlreadyExists: a checkpoint of the version has the name, in whatever case.
        """
        ...

    async def get_checkpoint(self, name: CheckpointName) -> Checkpoint:
        """One checkpoint.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, CheckpointNotFound
        """
        ...

    async def list_checkpoints(
        self, version: DatasetVersionName, below: int | None, limit: int
    ) -> Sequence[Checkpoint]:
        """The checkpoints of a version, newest first, from the one before number ``below``.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion
        """
        ...

    async def newest_copy(self, version: DatasetVersionName) -> Checkpoint | None:
        """The newest checkpoint of the version that is READY and holds a copy."""
        ...

    async def claim_checkpoint(self, owner: str, ttl_s: float) -> CheckpointClaim | None:
        """The oldest checkpoint that is to be made and that no other owner makes now; None when there is none."""
        ...

    async def renew_checkpoint(self, claim: CheckpointClaim, ttl_s: float) -> None:
        """Keep the claim for ``ttl_s`` from now.

        Raises:
            LeaseLost: it has run out, or somebody else goes on.
        """
        ...

    async def release_checkpoint(self, claim: CheckpointClaim) -> None:
        """Give the claim back, so that somebody else can go on at once."""
        ...

    async def end_checkpoint(self, claim: CheckpointClaim, outcome: CheckpointOutcome) -> None:
        """Bring the checkpoint to its one end. The splits of the outcome are those of an upload that is open.

        Raises:
            LeaseLost: and nothing has happened.
        """
        ...

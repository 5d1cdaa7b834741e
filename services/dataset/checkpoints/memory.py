"""Checkpoints in memory."""

import dataclasses
import datetime
from collections.abc import Sequence

from chassis.db.lease import LeaseLost
from headwater.names import CheckpointName, DatasetName, DatasetVersionName
from services.dataset.checkpoints.errors import CheckpointAlreadyExists
from services.dataset.checkpoints.model import Checkpoint, CheckpointClaim, CheckpointOutcome, CheckpointState
from services.dataset.errors import CheckpointNotFound
from services.dataset.history.store import Versions
from services.dataset.model import SemVer, Split


@dataclasses.dataclass(frozen=True)
class _Lease:
    token: int
    expire_time: datetime.datetime


@dataclasses.dataclass
class CheckpointMemory:
    """What is remembered of checkpoints; their order is that in which they were begun."""

    checkpoints: dict[str, Checkpoint] = dataclasses.field(default_factory=dict)
    leases: dict[str, _Lease] = dataclasses.field(default_factory=dict)

    @property
    def splits(self) -> list[Split]:
        """The splits of all copies."""
        return [split for checkpoint in self.checkpoints.values() for split in checkpoint.splits]


class MemoryCheckpoints(Versions):
    """See ``services.dataset.checkpoints.store.Checkpoints``; the other pieces of the transaction have the versions."""

    _checkpoints: CheckpointMemory
    _now: datetime.datetime

    async def create_checkpoint(self, checkpoint: Checkpoint) -> Checkpoint:
        """See Checkpoints."""
        for known in self._checkpoints.checkpoints.values():
            same = known.name.checkpoint.lower() == checkpoint.name.checkpoint.lower()
            if known.version == checkpoint.version and same:
                raise CheckpointAlreadyExists(checkpoint=checkpoint.name)
        number = len(self._checkpoints.checkpoints) + 1
        made = dataclasses.replace(checkpoint, number=number, create_time=self._now)
        self._checkpoints.checkpoints[checkpoint.uid] = made
        return made

    async def get_checkpoint(self, name: CheckpointName) -> Checkpoint:
        """See Checkpoints."""
        await self._check_version(DatasetVersionName(name.project, name.dataset, name.version))
        for checkpoint in self._checkpoints.checkpoints.values():
            if checkpoint.name == name:
                return checkpoint
        raise CheckpointNotFound(checkpoint=name)

    async def list_checkpoints(
        self, version: DatasetVersionName, below: int | None, limit: int
    ) -> Sequence[Checkpoint]:
        """See Checkpoints."""
        await self._check_version(version)
        found = [each for each in reversed(self._checkpoints.checkpoints.values()) if each.version == version]
        return [checkpoint for checkpoint in found if below is None or checkpoint.number < below][:limit]

    async def newest_copy(self, version: DatasetVersionName) -> Checkpoint | None:
        """See Checkpoints."""
        found = await self.list_checkpoints(version, None, len(self._checkpoints.checkpoints))
        copies = (each for each in found if each.materialized and each.state is CheckpointState.READY)
        return next(copies, None)

    async def claim_checkpoint(self, owner: str, ttl_s: float) -> CheckpointClaim | None:
        """See Checkpoints."""
        for checkpoint in self._checkpoints.checkpoints.values():
            lease = self._checkpoints.leases.get(checkpoint.uid, _Lease(0, self._now))
            if checkpoint.state is CheckpointState.RUNNING and lease.expire_time <= self._now:
                self._checkpoints.leases[checkpoint.uid] = _Lease(lease.token + 1, self._until(ttl_s))
                return CheckpointClaim(checkpoint, lease.token + 1)
        return None

    async def renew_checkpoint(self, claim: CheckpointClaim, ttl_s: float) -> None:
        """See Checkpoints."""
        lease = self._held_lease(claim)
        renewed = dataclasses.replace(lease, expire_time=self._until(ttl_s))
        self._checkpoints.leases[claim.checkpoint.uid] = renewed

    async def release_checkpoint(self, claim: CheckpointClaim) -> None:
        """See Checkpoints."""
        lease = self._checkpoints.leases[claim.checkpoint.uid]
        if lease.token == claim.token:
            given_back = dataclasses.replace(lease, expire_time=self._now)
            self._checkpoints.leases[claim.checkpoint.uid] = given_back

    async def end_checkpoint(self, claim: CheckpointClaim, outcome: CheckpointOutcome) -> None:
        """See Checkpoints."""
        self._held_lease(claim)
        checkpoint = self._checkpoints.checkpoints[claim.checkpoint.uid]
        ended = {field.name: getattr(outcome, field.name) for field in dataclasses.fields(outcome)}
        self._checkpoints.checkpoints[checkpoint.uid] = dataclasses.replace(checkpoint, **ended)

    def _held_lease(self, claim: CheckpointClaim) -> _Lease:
        checkpoint = self._checkpoints.checkpoints[claim.checkpoint.uid]
        lease = self._checkpoints.leases[checkpoint.uid]
        lost = lease.token != claim.token or lease.expire_time <= self._now
        if lost or checkpoint.state is not CheckpointState.RUNNING:
            raise LeaseLost(checkpoint=checkpoint.name)
        return lease

    def _until(self, seconds: float) -> datetime.datetime:
        return self._now + datetime.timedelta(seconds=seconds)

    async def _check_version(self, name: DatasetVersionName) -> None:
        await self.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))

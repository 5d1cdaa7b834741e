"""Rollouts in memory; same contract as postgres.py."""

import datetime
from collections.abc import Sequence

from chassis.clock import Clock
from headwater.names import DeploymentName, RolloutName
from services.inference.traffic.rollouts.errors import RolloutActive, RolloutNotFound
from services.inference.traffic.rollouts.model import Rollout
from services.inference.traffic.rollouts.store import Active, RolloutTx


class MemoryRollouts(RolloutTx):
    """See RolloutTx. ``by_uid`` is changed in place: whoever begins the transaction gives a copy."""

    def __init__(self, by_uid: dict[str, Rollout], clock: Clock) -> None:
        self.by_uid = by_uid
        self._clock = clock

    async def now(self) -> datetime.datetime:
        """See RolloutTx."""
        return self._clock.now()

    async def insert(self, rollout: Rollout) -> None:
        """See RolloutTx."""
        if await self.active_of(rollout.deployment_uid) is not None:
            raise RolloutActive(deployment=rollout.deployment)
        self.by_uid[rollout.uid] = rollout

    async def get(self, name: RolloutName) -> Rollout:
        """See RolloutTx."""
        found = self.by_uid.get(name.rollout)
        if found is None or found.name != name:
            raise RolloutNotFound(rollout=name)
        return found

    async def replace(self, rollout: Rollout) -> bool:
        """See RolloutTx."""
        if self.by_uid[rollout.uid].revision != rollout.revision - 1:
            return False
        self.by_uid[rollout.uid] = rollout
        return True

    async def active(self) -> Active:
        """See RolloutTx."""
        return Active(tuple(each for each in self.by_uid.values() if each.state.active))

    async def active_of(self, deployment_uid: str) -> Rollout | None:
        """See RolloutTx."""
        active = (await self.active()).rollouts
        return next((each for each in active if each.deployment_uid == deployment_uid), None)

    async def page(self, deployment: DeploymentName, before: str, limit: int) -> Sequence[Rollout]:
        """See RolloutTx."""
        found = [each for each in self.by_uid.values() if each.deployment == deployment]
        found = [each for each in found if not before or each.uid < before]
        return sorted(found, key=lambda each: each.uid, reverse=True)[:limit]

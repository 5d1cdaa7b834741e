"""What must be remembered of rollouts; part of a transaction of the store of deployments."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Protocol

from headwater.names import DeploymentName, RolloutName
from services.inference.traffic.rollouts.model import Rollout


@dataclasses.dataclass(frozen=True, slots=True)
class Active:
    """Every rollout that has not ended: those that this release understands, and the others, which it leaves alone."""

    rollouts: tuple[Rollout, ...] = ()
    of_later_release: tuple[RolloutName, ...] = ()


class RolloutTx(Protocol):
    """The rollouts within one transaction. One that only a later release understands raises OfLaterRelease where it is
    asked for, and is told of by its name only in :meth:`active`, so that it holds up no other one."""

    async def now(self) -> datetime.datetime:
        """The store's own time, by which steps are measured: the clocks of replicas differ."""

    async def insert(self, rollout: Rollout) -> None:
        """Add it.

        Raises:
            RolloutActive: another one is active for the deployment.
        """

    async def get(self, name: RolloutName) -> Rollout:
        """The rollout, or raise RolloutNotFound."""

    async def replace(self, rollout: Rollout) -> bool:
        """Put this in the place of the one with the revision before; False if somebody else has changed that."""

    async def active(self) -> Active:
        """Every rollout that has not ended."""

    async def active_of(self, deployment_uid: str) -> Rollout | None:
        """The one of a deployment that has not ended."""

    async def page(self, deployment: DeploymentName, before: str, limit: int) -> Sequence[Rollout]:
        """Those of a deployment of this name, newest first, with uids before ``before``; empty for all."""

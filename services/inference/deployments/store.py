"""What must be remembered of deployments. tests/contract/inference/test_deployment_store.py holds both stores to it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from headwater.names import DeploymentName
from services.inference.deployments.model import Deployment, Use
from services.inference.traffic.rollouts.store import RolloutTx


class DeploymentTx(Protocol):
    """One transaction: all of it takes effect, or nothing.

    A deployment that only a later release understands is not among those to serve or to announce, so that it holds up
    no other one; who asks for it gets OfLaterRelease.
    """

    @property
    def rollouts(self) -> RolloutTx:
        """The rollouts, within the same transaction."""

    async def insert(self, deployment: Deployment) -> None:
        """Add it.

        Raises:
            ServedNameTaken: a deployment that is not archived has the same last name segment, whatever its case.
        """

    async def get(self, name: DeploymentName, *, for_update: bool = False) -> Deployment:
        """The deployment that answers to ``name``; where there is none, the one archived last.

        ``for_update`` lets nobody else change it before this transaction ends.

        Raises:
            DeploymentNotFound: there never was one.
        """

    async def get_by_uid(self, uid: str) -> Deployment:
        """The deployment with this uid, or raise DeploymentNotFound."""

    async def replace(self, deployment: Deployment) -> None:
        """Put this in the place of the one with the same uid; it has changed."""

    async def page(self, project: str, after: str, limit: int) -> Sequence[Deployment]:
        """Deployments of a project that are not archived, by name, those after the name ``after``."""

    async def all_served(self) -> Sequence[Deployment]:
        """Every deployment that is not archived."""

    async def unannounced(self, limit: int) -> Sequence[Deployment]:
        """Deployments, archived ones too, that have changed since they were announced, in the order of the changes."""

    async def set_announced(self, deployment: Deployment) -> None:
        """Note that ``deployment``, as of its change, was announced."""

    async def add_use(self, use: Use) -> None:
        """Note that a deployment serves a version, unless that is known."""

    async def unannounced_uses(self, limit: int) -> Sequence[Use]:
        """Uses that were not announced yet."""

    async def set_use_announced(self, use: Use) -> None:
        """Note that ``use`` was announced."""

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """See chassis.db.requests."""

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See chassis.db.requests."""


class DeploymentStore(Protocol):
    """Where deployments are kept."""

    def transaction(self) -> AbstractAsyncContextManager[DeploymentTx]:
        """A transaction that commits when the block ends and rolls back when it raises."""

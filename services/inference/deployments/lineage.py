"""What others are told of deployments, so that a model version knows by what it is served."""

import asyncio
from typing import Protocol

import structlog

from headwater.errors import HeadwaterError
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.store import DeploymentStore

_AT_ONCE = 1000

_log = structlog.get_logger("inference.deployments")


class Lineage(Protocol):
    """Where it is told: the registry, or its twin in memory. To tell the same again changes nothing."""

    async def tell(self, deployment: Deployment) -> None:
        """Tell what ``deployment`` is as of its change, or that it has ended."""

    async def tell_use(self, use: Use) -> None:
        """Tell that a deployment has begun to serve a version."""


class MemoryLineage(Lineage):
    """What was told last of each deployment, and every use."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.uses: list[Use] = []

    async def tell(self, deployment: Deployment) -> None:
        """See Lineage."""
        self.deployments[deployment.uid] = deployment

    async def tell_use(self, use: Use) -> None:
        """See Lineage."""
        if use not in self.uses:
            self.uses.append(use)


class Announcer:
    """Tells all that the store has noted, at once and, where that fails, again until it succeeds.

    Nothing waits for it: a registry that is away stops no deployment. What is to be told is kept in the transaction
    that changes it, and no transaction is open while it is told. Several processes may tell the same.
    """

    def __init__(self, store: DeploymentStore, lineage: Lineage, *, interval_s: float) -> None:
        self._store = store
        self._lineage = lineage
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._failure = ""

    def wake(self) -> None:
        """Tell now instead of after the interval."""
        self._wake.set()

    async def run(self) -> None:
        """Tell what there is to tell, for ever."""
        while True:
            self._wake.clear()
            try:
                await self.step()
                self._failure = ""
            except HeadwaterError as error:
                if error.reason != self._failure:  # said once, and not at every attempt
                    _log.warning("the lineage of deployments cannot be told now", exc_info=error)
                self._failure = error.reason
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def step(self) -> None:
        """Tell once all that has not been told.

        Raises:
            HeadwaterError: the first of what could not be told; the others have been.
        """
        async with self._store.transaction() as tx:
            deployments = await tx.unannounced(_AT_ONCE)
            uses = await tx.unannounced_uses(_AT_ONCE)
        failures: list[HeadwaterError] = []
        for deployment in deployments:
            try:
                await self._lineage.tell(deployment)
            except HeadwaterError as error:
                failures.append(error)
                continue
            async with self._store.transaction() as tx:
                await tx.set_announced(deployment)
        for use in uses:
            try:
                await self._lineage.tell_use(use)
            except HeadwaterError as error:
                failures.append(error)
                continue
            async with self._store.transaction() as tx:
                await tx.set_use_announced(use)
        if failures:
            raise failures[0]

"""Deployments in memory: one process, nothing kept. Same contract as postgres.py."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeAlias

from chassis.clock import Clock, SystemClock
from chassis.db.requests import MemoryRequests
from headwater.names import DeploymentName, ModelVersionName
from services.inference.deployments.errors import DeploymentNotFound, ServedNameTaken
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.store import DeploymentStore, DeploymentTx
from services.inference.traffic.rollouts.memory import MemoryRollouts
from services.inference.traffic.rollouts.model import Rollout
from services.inference.traffic.rollouts.store import RolloutTx

_UseKey: TypeAlias = tuple[str, ModelVersionName]


class MemoryDeployments(DeploymentStore):
    """See DeploymentStore. Transactions run one after the other; the store's own time is that of ``clock``."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._by_uid: dict[str, Deployment] = {}
        self._announced: dict[str, int] = {}
        self._uses: dict[_UseKey, bool] = {}
        self._changes = itertools.count(1)
        self._requests = MemoryRequests()
        self._rollouts: dict[str, Rollout] = {}
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[DeploymentTx]:
        """See DeploymentStore."""
        async with self._lock:
            rollouts = MemoryRollouts(dict(self._rollouts), self._clock)
            state = dict(self._by_uid), dict(self._announced), dict(self._uses)
            tx = _MemoryTx(*state, self._changes, self._requests, rollouts)
            yield tx
            self._rollouts = rollouts.by_uid
            self._by_uid, self._announced, self._uses = tx.by_uid, tx.announced, tx.uses
            for method, request_id, body_digest, result in tx.answered:
                await self._requests.remember(None, method, request_id, body_digest, result)


class _MemoryTx(DeploymentTx):
    def __init__(
        self,
        by_uid: dict[str, Deployment],
        announced: dict[str, int],
        uses: dict[_UseKey, bool],
        changes: Iterator[int],
        requests: MemoryRequests,
        rollouts: MemoryRollouts,
    ) -> None:
        self.by_uid = by_uid
        self.announced = announced
        self.uses = uses
        self._changes = changes
        self.answered: list[tuple[str, str, str, str]] = []
        self._requests = requests
        self._rollouts = rollouts

    @property
    def rollouts(self) -> RolloutTx:
        return self._rollouts

    async def insert(self, deployment: Deployment) -> None:
        taken = {each.served_name.lower() for each in await self.all_served()}
        if deployment.served_name.lower() in taken:
            raise ServedNameTaken(deployment=deployment.name)
        self._put(deployment)

    async def get(self, name: DeploymentName, *, for_update: bool = False) -> Deployment:
        del for_update  # transactions run one after the other
        archived = []
        for each in self.by_uid.values():
            if each.name == name and each.archive_time is None:
                return each
            if each.name == name:
                archived.append(each)
        if not archived:
            raise DeploymentNotFound(deployment=name)
        return max(archived, key=lambda each: (each.archive_time, each.uid))

    async def get_by_uid(self, uid: str) -> Deployment:
        if uid not in self.by_uid:
            raise DeploymentNotFound(uid=uid)
        return self.by_uid[uid]

    async def replace(self, deployment: Deployment) -> None:
        self._put(deployment)

    async def page(self, project: str, after: str, limit: int) -> Sequence[Deployment]:
        served = [each for each in await self.all_served() if each.name.project == project and each.served_name > after]
        return sorted(served, key=lambda each: each.served_name)[:limit]

    async def all_served(self) -> Sequence[Deployment]:
        return [each for each in self.by_uid.values() if each.archive_time is None]

    async def unannounced(self, limit: int) -> Sequence[Deployment]:
        changed = [each for each in self.by_uid.values() if self.announced.get(each.uid, 0) < each.change]
        return sorted(changed, key=lambda each: each.change)[:limit]

    async def set_announced(self, deployment: Deployment) -> None:
        self.announced[deployment.uid] = max(self.announced.get(deployment.uid, 0), deployment.change)

    async def add_use(self, use: Use) -> None:
        self.uses.setdefault((use.deployment.uid, use.version), False)

    async def unannounced_uses(self, limit: int) -> Sequence[Use]:
        waiting = [key for key, announced in self.uses.items() if not announced]
        return [Use(self.by_uid[uid], version) for uid, version in waiting[:limit]]

    async def set_use_announced(self, use: Use) -> None:
        self.uses[use.deployment.uid, use.version] = True

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        return await self._requests.first_result(None, method, request_id, body_digest)

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        self.answered.append((method, request_id, body_digest, result))

    def _put(self, deployment: Deployment) -> None:
        self.by_uid[deployment.uid] = dataclasses.replace(deployment, change=next(self._changes))

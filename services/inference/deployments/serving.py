"""Keeps what is loaded equal to what is to be served.

Every interval, and at once after a change, each deployment's selector is resolved; where it stands for another version
than the loaded one, that version is fetched, loaded and put in place in one step. Requests that were accepted before
finish on the old engine, which is closed then: none is lost. What cannot be resolved or loaded now leaves alone what is
loaded, so that a registry that is away stops nothing.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import structlog

from headwater.errors import HeadwaterError
from headwater.names import RolloutName
from services.inference.deployments.follower import Follower
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.loading import Loading
from services.inference.deployments.model import UNLOADED, WAITING, Deployment, Status, Use
from services.inference.deployments.store import DeploymentStore
from services.inference.deployments.target import Target
from services.inference.errors import ModelNotFound, ModelNotReady
from services.inference.guard.rollback import Rollbacks
from services.inference.models.source import ModelSource
from services.inference.traffic.rollouts.model import overlaid

_CLOSE_S = 5.0  # an engine that hangs does not hold up the end of the process for longer

_log = structlog.get_logger("inference.deployments")


class Serving:
    """What is loaded in this process. To be used in one event loop, which runs :meth:`run`.

    ``announce`` is called when there is something to tell the registry. ``rollbacks`` knows what is set aside.
    """

    def __init__(
        self,
        store: DeploymentStore,
        source: ModelSource,
        loading: Loading,
        *,
        interval_s: float,
        announce: Callable[[], None] = lambda: None,
        rollbacks: Rollbacks | None = None,
    ) -> None:
        self._store = store
        self._announce = announce
        self._source = source
        self._loading = loading
        self._interval_s = interval_s
        self._rollbacks = rollbacks
        self._by_uid: dict[str, Follower] = {}
        self._by_name: dict[str, Follower] = {}
        self._wake = asyncio.Event()
        self._stepping = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self.rollouts_left_alone: frozenset[RolloutName] = frozenset()
        """Active ones that only a later release understands: here all requests go where they went before them."""
        self.in_step = False
        """Whether the deployments have been read since the start."""

    def follower(self, name: str) -> Follower:
        """What is served under this model name.

        Raises:
            ModelNotFound: no deployment has this name.
            ModelNotReady: the deployments have not been read yet.
        """
        follower = self._by_name.get(name)
        if follower is None:
            raise ModelNotFound(model=name) if self.in_step else ModelNotReady(model=name, retry_after_ms=1000)
        return follower

    def follower_of(self, uid: str) -> Follower | None:
        """What is served for the deployment with this uid; None for nothing."""
        return self._by_uid.get(uid)

    def find(self, name: str, version: str = "") -> Loaded:
        """What answers for this model name: the version that is given, or else the main one or who stands in for it.

        Raises:
            ModelNotFound: no deployment has this name.
            ModelNotReady: nothing is loaded for it, or its engine hangs.
            VersionNotServed: ``version`` is given and is not loaded.
        """
        follower = self.follower(name)
        for target in [follower.of_version(version)] if version else self.stand_ins(follower):
            if target.loaded is not None and target.answers:
                return target.loaded
        raise follower.not_ready()

    def stand_ins(self, follower: Follower) -> Iterator[Target]:
        """Who answers for a deployment when the one chosen cannot, in this order."""
        for each in follower.stand_ins():
            if not isinstance(each, str):
                yield each
            elif (other := self._by_name.get(each)) is not None:
                yield other.main

    def status(self, deployment: Deployment) -> Status:
        """Whether a deployment answers here, and with which version."""
        if deployment.options.unloaded:  # also before the follower has been told
            return UNLOADED
        follower = self._by_uid.get(deployment.uid)
        return WAITING if follower is None or follower.deployment.options.unloaded else follower.status

    def followers(self) -> Sequence[Follower]:
        """Every deployment that is served or is to be, by name."""
        return [follower for _, follower in sorted(self._by_name.items())]

    def wake(self) -> None:
        """Look for changes now instead of after the interval."""
        self._wake.set()

    async def run(self) -> None:
        """Follow the deployments, for ever."""
        while True:
            try:
                await self.step()
            except HeadwaterError as error:
                _log.warning("deployments cannot be read", reason=error.reason)
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def step(self) -> None:
        """Look once at every deployment; starts what is to be done and does not wait for it."""
        async with self._stepping:  # what was read later is to be put in place later
            await self._step()

    async def _step(self) -> None:
        async with self._store.transaction() as tx:
            # In this order: of a rollout that ends meanwhile it is seen that it is active and that the deployment has
            # changed; the other way round the version that was rolled out would be seen nowhere for a moment.
            active = await tx.rollouts.active()
            wanted = {deployment.uid: deployment for deployment in await tx.all_served()}
        rollouts = {rollout.deployment_uid: rollout for rollout in active.rollouts}
        self._leave_alone(frozenset(active.of_later_release))
        if self._rollbacks is not None:
            await self._rollbacks.refresh(list(wanted))
        for uid in [uid for uid in self._by_uid if uid not in wanted]:
            self._by_uid.pop(uid).stop()
        for uid, deployment in wanted.items():
            if uid not in self._by_uid:
                self._by_uid[uid] = Follower(
                    deployment,
                    self._source,
                    self._loading,
                    note=self._note,
                    begin=self._begin,
                    retire=self._retire,
                    rollbacks=self._rollbacks,
                )
            self._by_uid[uid].step(deployment, overlaid(deployment.options.routing, rollouts.get(uid)))
        self._by_name = {each.deployment.served_name: each for each in self._by_uid.values()}
        self.in_step = True

    def _leave_alone(self, rollouts: frozenset[RolloutName]) -> None:
        for each in sorted(rollouts - self.rollouts_left_alone, key=str):
            _log.warning("a rollout is left alone: only a later release understands it", rollout=str(each))
        self.rollouts_left_alone = rollouts

    async def settle(self) -> None:
        """Wait for everything that the last :meth:`step` has started."""
        for follower in list(self._by_uid.values()):
            await follower.settle()

    async def close(self) -> None:
        """Answer what was accepted, then free every engine."""
        for follower in self._by_uid.values():
            follower.stop()
        self._by_uid, self._by_name = {}, {}
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_CLOSE_S)

    async def _note(self, found: Deployment) -> None:
        """Keep the uid and the present name of the model; who configures the deployment meanwhile loses nothing."""
        async with self._store.transaction() as tx:
            current = await tx.get(found.name, for_update=True)
            if current.uid == found.uid:
                await tx.replace(dataclasses.replace(current, model=found.model, model_uid=found.model_uid))

    async def _begin(self, use: Use) -> None:
        """Keep that a deployment serves a version from now on, so that the registry can be told."""
        async with self._store.transaction() as tx:
            await tx.add_use(use)
        self._announce()

    def _retire(self, old: Loaded) -> None:
        task = asyncio.create_task(self._close(old), name=f"retire {old.version.name}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _close(self, old: Loaded) -> None:
        await old.preparation.close()  # first: what is prepared goes to the batcher
        await old.batcher.close()
        in_use = {loaded.file.digest for each in self._by_uid.values() for loaded in each.versions()}
        if old.file.digest not in in_use:
            await self._loading.forget(old)

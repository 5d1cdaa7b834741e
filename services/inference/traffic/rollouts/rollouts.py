"""The use cases of rollouts."""

import dataclasses
import datetime
from collections.abc import Callable

from chassis import etags
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.errors import Aborted
from headwater.names import DeploymentName, RolloutName
from services.inference.deployments.deployments import Origin
from services.inference.deployments.errors import DeploymentArchived
from services.inference.deployments.model import Deployment
from services.inference.deployments.store import DeploymentStore, DeploymentTx
from services.inference.models.source import ModelSource, NoSuchVersion, Selector, missing
from services.inference.traffic.rollouts.decision import Decision
from services.inference.traffic.rollouts.errors import InvalidRollout, RolloutOver
from services.inference.traffic.rollouts.model import Event, Kind, Plan, Rollout, State

_ATTEMPTS = 3
_ENDS = {Kind.SUCCEEDED: State.SUCCEEDED, Kind.PROMOTED: State.SUCCEEDED, Kind.ROLLED_BACK: State.ROLLED_BACK}
_STANDS = {
    State.RUNNING: "is running",
    State.PAUSED: "is paused",
    State.SUCCEEDED: "has succeeded",
    State.ROLLED_BACK: "was rolled back",
    State.ABORTED: "was aborted",
}


class Rollouts:
    """Starts rollouts, changes them on request, and carries out what is decided of them.

    Of several who change one at once the first wins; the others have decided on a state that is no more, and nothing
    comes of it. ``changed`` is called after every change, so that serving follows at once.
    """

    def __init__(self, store: DeploymentStore, source: ModelSource, changed: Callable[[], None]) -> None:
        self._store = store
        self._source = source
        self._changed = changed

    async def start(self, name: DeploymentName, candidate: Selector, plan: Plan, origin: Origin) -> Rollout:
        """Roll out the version that ``candidate`` stands for now; ``plan.version`` is filled in.

        Raises:
            DeploymentNotFound, DeploymentArchived
            NoSuchVersion: there is no such version.
            UnsafeModel, VersionArchived: it may not be served.
            InvalidRollout: it serves as the main version already, or the other variants leave no room for a step.
            RolloutActive: another version is being rolled out.
            RequestIdReused: the request id came before with another body.
            Aborted: the deployment changes again and again while it is looked at.
        """
        async with self._store.transaction() as tx:
            first = await tx.first_result("StartRollout", origin.request_id, origin.body_digest)
            if first is not None:
                return await tx.rollouts.get(RolloutName.parse(first))
            deployment = await tx.get(name)
        for _ in range(_ATTEMPTS):  # the registry is not asked while a transaction holds the deployment
            planned = await self._planned(deployment, candidate, plan)
            async with self._store.transaction() as tx:
                first = await tx.first_result("StartRollout", origin.request_id, origin.body_digest)
                if first is not None:
                    return await tx.rollouts.get(RolloutName.parse(first))
                current = await tx.get(name, for_update=True)
                if current.archive_time is not None:
                    raise DeploymentArchived(deployment=name)
                if (current.uid, current.revision) == (deployment.uid, deployment.revision):
                    rollout = await self._insert(tx, current, planned, origin)
                    break
            deployment = current  # another one of this name, or changed: what was found of it holds no more
        else:
            raise Aborted("The deployment keeps changing; try again.", deployment=name)
        self._changed()
        return rollout

    async def _planned(self, deployment: Deployment, candidate: Selector, plan: Plan) -> Plan:
        """The plan for the version that ``candidate`` stands for; raises where the deployment cannot follow it."""
        try:
            version = await self._source.resolve(deployment.source, candidate)
        except NoSuchVersion as error:  # by the name of the model that its caller knows
            raise NoSuchVersion(missing(deployment.model, candidate), model=deployment.model) from error
        version.check_usable()
        planned = dataclasses.replace(plan, version=version.name.version)
        await self._check_room(deployment, planned)
        return planned

    async def _insert(self, tx: DeploymentTx, deployment: Deployment, plan: Plan, origin: Origin) -> Rollout:
        now = await tx.rollouts.now()
        begun = Event(Kind.STARTED, now, 0, plan.steps[0].weight_percent, origin.actor)
        rollout = Rollout(
            new_id(), deployment.name, deployment.uid, plan, State.RUNNING, 0, now, now, now, origin.actor, (begun,)
        )
        await tx.rollouts.insert(rollout)
        await tx.remember("StartRollout", origin.request_id, origin.body_digest, str(rollout.name))
        return rollout

    async def now(self) -> datetime.datetime:
        """The store's time, by which the steps of rollouts are measured."""
        async with self._store.transaction() as tx:
            return await tx.rollouts.now()

    async def get(self, name: RolloutName) -> Rollout:
        """The rollout, or raise RolloutNotFound."""
        async with self._store.transaction() as tx:
            return await tx.rollouts.get(name)

    async def page(self, deployment: DeploymentName, size: int, token: str) -> Page[Rollout]:
        """The rollouts to deployments of this name, newest first."""
        size, query = page_size(size), query_digest("ListRollouts", deployment)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            found = await tx.rollouts.page(deployment, str(after[0]) if after else "", size + 1)
        return page_of(found, size, key=lambda rollout: (rollout.uid,), query=query)

    async def pause(self, name: RolloutName, etag: str, actor: str) -> Rollout:
        """Go no step further until it is resumed. Raises RolloutNotFound, RolloutOver, EtagMismatch."""
        return await self._change(name, etag, Kind.PAUSED, State.PAUSED, {State.RUNNING}, actor)

    async def resume(self, name: RolloutName, etag: str, actor: str) -> Rollout:
        """Go on after a pause; the time of the step goes on from before. Raises as :meth:`pause`."""
        return await self._change(name, etag, Kind.RESUMED, State.RUNNING, {State.PAUSED}, actor)

    async def promote(self, name: RolloutName, etag: str, actor: str) -> Rollout:
        """End it now: the version becomes the deployment's own, whatever was measured. Raises as :meth:`pause`."""
        active = {State.RUNNING, State.PAUSED}
        return await self._change(name, etag, Kind.PROMOTED, State.SUCCEEDED, active, actor)

    async def abort(self, name: RolloutName, etag: str, actor: str) -> Rollout:
        """End it now: all requests go where they went before. Raises as :meth:`pause`."""
        return await self._change(name, etag, Kind.ABORTED, State.ABORTED, {State.RUNNING, State.PAUSED}, actor)

    async def carry_out(self, rollout: Rollout, decision: Decision) -> Rollout | None:
        """Do what was decided of ``rollout``; None if it has changed since, and nothing was done."""
        async with self._store.transaction() as tx:
            deployment = await tx.get(rollout.deployment, for_update=True)
            if deployment.uid != rollout.deployment_uid:
                return None
            advances = decision.kind is Kind.ADVANCED
            moved = rollout.moved(
                decision.kind,
                rollout.state if advances else _ENDS[decision.kind],
                await tx.rollouts.now(),
                step=rollout.step + 1 if advances else None,
                reason=decision.reason,
                evidence=decision.evidence,
            )
            if not await tx.rollouts.replace(moved):
                return None
            await self._take_over(tx, deployment, moved)
        self._changed()
        return moved

    async def _change(
        self, name: RolloutName, etag: str, kind: Kind, state: State, allowed: set[State], actor: str
    ) -> Rollout:
        async with self._store.transaction() as tx:
            deployment = await tx.get(DeploymentName(name.project, name.deployment), for_update=True)
            rollout = await tx.rollouts.get(name)
            etags.check(etag, rollout.etag)
            if rollout.state not in allowed:
                raise RolloutOver(f"The rollout {_STANDS[rollout.state]}.", rollout=name)
            moved = rollout.moved(kind, state, await tx.rollouts.now(), actor=actor)
            if not await tx.rollouts.replace(moved):
                raise etags.EtagMismatch(rollout=name)
            await self._take_over(tx, deployment, moved)
        self._changed()
        return moved

    async def _take_over(self, tx: DeploymentTx, deployment: Deployment, rollout: Rollout) -> None:
        """Let the deployment serve the version from now on, if the rollout has succeeded."""
        if rollout.state is State.SUCCEEDED:
            await tx.replace(
                dataclasses.replace(
                    deployment,
                    selector=rollout.selector,
                    update_time=rollout.update_time,
                    revision=deployment.revision + 1,
                )
            )

    async def _check_room(self, deployment: Deployment, plan: Plan) -> None:
        if plan.objectives.max_drift_psi is not None and not deployment.options.drift.enabled:
            text = "The deployment does not watch drift; switch it on by drift.enabled."
            raise InvalidRollout(text, field="rollout.plan.objectives.max_drift_psi")
        largest, left = max(step.weight_percent for step in plan.steps), deployment.options.routing.main_percent
        if largest > left + 1e-9:
            text = f"A step wants {largest:g} percent; the other variants leave {left:g}."
            raise InvalidRollout(text, field="rollout.plan.steps")
        try:
            main = await self._source.resolve(deployment.source, deployment.selector)
        except NoSuchVersion:
            return
        if main.name.version == plan.version:
            raise InvalidRollout(f"{main.name} is what the deployment serves already.", field="rollout.plan.version")

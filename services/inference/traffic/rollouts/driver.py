"""Looks at the active rollouts again and again, and lets happen what is to happen.

Every replica does, on what it has measured itself, by the database's time; of those who decide at once one is first,
and the others have decided nothing. Nothing of it is in memory only but the measurements of the present step: a process
that starts anew measures that step again, and goes on from there.
"""

import asyncio
import datetime
from collections.abc import Callable, Sequence

import structlog

from headwater.errors import HeadwaterError
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.serving import Serving
from services.inference.deployments.store import DeploymentStore
from services.inference.drift.model import Window
from services.inference.guard.breaker import Position
from services.inference.guard.guard import Guard
from services.inference.traffic.compatibility import answers_for
from services.inference.traffic.options import CANARY, CANARY_SHADOW
from services.inference.traffic.rollouts.decision import Decision, decide
from services.inference.traffic.rollouts.measuring import Measuring
from services.inference.traffic.rollouts.model import Evidence, Kind, Rollout
from services.inference.traffic.rollouts.rollouts import Rollouts

_log = structlog.get_logger("inference.rollouts")


class Driver:
    """Used in one event loop, which runs :meth:`run`. A version that goes back is an incident.

    ``doubts`` say in words why a version should go back whatever its plan says; nothing where it need not. ``windows``
    tells the last complete window of a version's drift.
    """

    def __init__(
        self,
        store: DeploymentStore,
        serving: Serving,
        rollouts: Rollouts,
        guard: Guard,
        *,
        interval_s: float,
        doubts: Sequence[Callable[[Loaded], str]] = (),
        windows: Callable[[Loaded], Window | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._serving = serving
        self._rollouts = rollouts
        self._guard = guard
        self._interval_s = interval_s
        self._doubts = doubts
        self._windows = windows
        self._measuring = Measuring()

    async def run(self) -> None:
        """Look every interval, for ever."""
        while True:
            try:
                await self.step()
            except HeadwaterError as error:
                _log.warning("rollouts cannot be read", reason=error.reason)
            await asyncio.sleep(self._interval_s)

    async def step(self) -> None:
        """Look once at every active rollout. What hinders one of them holds up no other."""
        async with self._store.transaction() as tx:
            active, now = (await tx.rollouts.active()).rollouts, await tx.rollouts.now()
        self._measuring.forget_all_but({rollout.uid for rollout in active})
        for rollout in active:
            try:
                await self._look(rollout, now)
            except HeadwaterError as error:
                _log.warning("a rollout cannot be moved", rollout=str(rollout.name), reason=error.reason)
            except Exception:  # a fault in what is looked at of one must not end this for all others
                _log.exception("a rollout cannot be judged", rollout=str(rollout.name))

    async def _look(self, rollout: Rollout, now: datetime.datetime) -> None:
        measured = self.measured(rollout)
        decision = None if measured is None else decide(rollout, *measured, now)
        if decision is not None:
            await self._carry_out(rollout, decision)

    async def _carry_out(self, rollout: Rollout, decision: Decision) -> None:
        follower = self._serving.follower_of(rollout.deployment_uid)
        target = follower.target(CANARY) if follower is not None else None
        loaded = target.loaded if target is not None else None
        if await self._rollouts.carry_out(rollout, decision) is None:
            return
        _log.info("a rollout moves", rollout=str(rollout.name), to=decision.kind.value, why=decision.reason)
        if decision.kind is Kind.ROLLED_BACK and loaded is not None and follower is not None:
            self._guard.canary_aborted(loaded, decision.reason, follower.loaded)

    def measured(self, rollout: Rollout) -> tuple[Evidence, str] | None:
        """What this process knows of the present step, and in words why the version cannot answer; None before it has
        tried to load it."""
        follower = self._serving.follower_of(rollout.deployment_uid)
        target = follower.target(CANARY) if follower is not None else None
        if follower is None or target is None:
            return None
        trouble = f"the version cannot be served: {target.status.failure}" if target.status.failure else ""
        if target.loaded is None:
            return Evidence(), trouble
        for doubt in self._doubts:
            trouble = trouble or doubt(target.loaded)
        if follower.loaded is not None and not answers_for(target.loaded.signature, follower.loaded.signature):
            trouble = trouble or "its inputs and outputs are not those of the main version"
        is_fault = follower.deployment.options.guard.breaker.is_fault
        others = [each for each in follower.targets if each.name not in (CANARY, CANARY_SHADOW)]
        alone = all(each.loaded is not target.loaded for each in others)
        window = self._windows(target.loaded)
        return self._measuring.evidence(rollout, target.loaded, is_fault, alone=alone, window=window), trouble


def breaker_open(loaded: Loaded) -> str:
    """The doubt about a version that is not asked any more, because it fails."""
    return "its circuit breaker has opened" if loaded.watch.breaker.position is Position.OPEN else ""

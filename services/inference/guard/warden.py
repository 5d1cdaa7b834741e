"""Goes round everything that is served, again and again: rules as configured, what has passed, what must go back."""

import asyncio

import structlog

from headwater.errors import HeadwaterError
from services.inference.deployments.serving import Serving
from services.inference.guard.guard import Guard
from services.inference.guard.rollback import Rollbacks

_log = structlog.get_logger("inference.guard")


class Warden:
    """The background of a guard. To be used in the event loop that serves, which runs :meth:`run`."""

    def __init__(self, serving: Serving, guard: Guard, rollbacks: Rollbacks, *, interval_s: float) -> None:
        self._serving = serving
        self._guard = guard
        self._rollbacks = rollbacks
        self._interval_s = interval_s

    async def run(self) -> None:
        """Go round every interval, for ever."""
        while True:
            await self.step()
            await asyncio.sleep(self._interval_s)

    async def step(self) -> None:
        """Go round once. What cannot be kept or asked now is decided in a later round."""
        followers = self._serving.followers()
        for follower in followers:
            self._guard.tick(follower.deployment, follower.versions())
            try:
                await self._rollbacks.judge(follower.deployment, follower.loaded)
            except HeadwaterError as error:
                _log.warning(
                    "a deployment cannot be judged", deployment=str(follower.deployment.name), error=str(error)
                )
        versions = [loaded for follower in followers for loaded in follower.versions()]
        self._guard.keep_only(versions, [follower.deployment.uid for follower in followers])

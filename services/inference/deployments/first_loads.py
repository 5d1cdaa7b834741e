"""Whether what was to be served when the process started answers as it did where it was registered (N-04).

A process whose libraries compute something else is to take no requests at all, so that a rollout of it stops. Once that
has been seen to be right, what a later version does is a matter of its deployment alone, and readiness stays.
"""

import asyncio
import time
from typing import Final

from chassis.readiness import NotReady
from services.inference.deployments.serving import Serving

_PATIENCE_S: Final = 1.5
_LONGEST_S: Final = 30.0  # a model that takes longer to load is not what the others wait for


class FirstLoads:
    """A check of readiness."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._began = time.monotonic()
        self._passed = False

    async def check(self) -> None:
        """Return when the first loads are over and none of them has found another answer than was recorded.

        Raises:
            NotReady: a parity record does not hold and nothing else is loaded in the place of its version, or the first
                loads are still under way.
        """
        if self._passed:
            return
        if not self._serving.in_step:
            await self._serving.step()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._serving.settle()
        except TimeoutError:
            if time.monotonic() - self._began < _LONGEST_S:
                raise NotReady("models are being loaded") from None
            return
        for follower in self._serving.followers():
            mismatch = follower.main.mismatch
            if mismatch is not None and not follower.versions():
                raise NotReady(f"a model version is not what was registered. {mismatch.message}")
        self._passed = True

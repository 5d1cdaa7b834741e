"""The loop that computes profiles and brings each to its one end (promise 6).

Any number of processes may do it: each profile is computed by the one that holds its lease. One that dies or stalls
loses it, and another begins that profile again.
"""

import asyncio
import contextlib
import dataclasses
from typing import Final

import structlog

from chassis.db.lease import LeaseLost
from headwater.errors import Code, HeadwaterError
from services.dataset.profiles.compute import Progress, profile_of
from services.dataset.profiles.errors import ProfileGivenUp
from services.dataset.profiles.model import Claim, Outcome, ProfileState
from services.dataset.profiles.sources import Sources
from services.dataset.store import Store

_log = structlog.get_logger(__name__)
_TRANSIENT: Final = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.CANCELLED}
)


@dataclasses.dataclass(frozen=True, slots=True)
class ProfilerOptions:
    """How profiles are computed. Times are in seconds."""

    owner: str
    """Different for each process, and for each start of it."""
    lease_s: float
    max_attempts: int
    poll_interval_s: float


class Profiler:
    """Computes profiles, oldest first, one at a time: it is one core's work, and leaves the others to readers."""

    def __init__(self, store: Store, sources: Sources, options: ProfilerOptions) -> None:
        self._store = store
        self._sources = sources
        self._options = options

    async def run(self) -> None:
        """Compute profiles until cancelled."""
        while True:
            if not await self.compute_next():
                await asyncio.sleep(self._options.poll_interval_s)

    async def compute_next(self) -> bool:
        """Take the oldest profile that is free and bring it on; False when there is none."""
        async with self._store.transaction() as tx:
            claim = await tx.claim_profile(self._options.owner, self._options.lease_s)
        if claim is None:
            return False
        progress = Progress()
        work = asyncio.create_task(self._attempt(claim, progress))
        keeper = asyncio.create_task(self._keep(claim, progress))
        try:
            await asyncio.wait({work, keeper}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the process drains: another one goes on at once
            work.cancel()
            with contextlib.suppress(HeadwaterError):
                await self._release(claim)
            raise
        finally:
            for task in (work, keeper):
                task.cancel()
            results = await asyncio.gather(work, keeper, return_exceptions=True)
        for result in results:
            if isinstance(result, LeaseLost):
                _log.warning("profile left to somebody else", profile=str(claim.profile.name))
            elif isinstance(result, Exception):
                raise result
        return True

    async def _attempt(self, claim: Claim, progress: Progress) -> None:
        outcome = await self._outcome(claim, progress)
        if outcome is None:
            await asyncio.sleep(self._options.poll_interval_s * 2**claim.token)
            await self._release(claim)
            return
        async with self._store.transaction() as tx:
            await tx.end_profile(claim, outcome)

    async def _outcome(self, claim: Claim, progress: Progress) -> Outcome | None:
        """How the profile ends; None: it is to be tried again."""
        profile = claim.profile
        try:
            if claim.token > self._options.max_attempts:
                raise ProfileGivenUp(attempts=self._options.max_attempts)
            async with self._sources.open(profile.subject) as source:
                splits = await profile_of(profile.subject, source, progress)
        except HeadwaterError as error:
            if error.code in _TRANSIENT and claim.token < self._options.max_attempts:
                _log.warning("profile failed, will be tried again", profile=str(profile.name), reason=error.reason)
                return None
            return Outcome(ProfileState.FAILED, error.message, progress.rows_done)
        except Exception as error:
            _log.exception("profile failed", profile=str(profile.name))
            message = f"{type(error).__name__} while the rows were looked at."
            return Outcome(ProfileState.FAILED, message, progress.rows_done)
        return Outcome(ProfileState.READY, "", progress.rows_done, splits, source.fingerprint)

    async def _keep(self, claim: Claim, progress: Progress) -> None:
        """Renew the lease and tell how far it has come, until the lease is lost: returns by LeaseLost."""
        while True:
            await asyncio.sleep(min(self._options.lease_s / 3, 1.0))
            try:
                async with self._store.transaction() as tx:
                    await tx.renew_profile(claim, self._options.lease_s, progress.rows_done)
            except LeaseLost:
                raise
            except HeadwaterError:
                continue  # the database is away; the lease decides when it is back

    async def _release(self, claim: Claim) -> None:
        async with self._store.transaction() as tx:
            await tx.release_profile(claim)

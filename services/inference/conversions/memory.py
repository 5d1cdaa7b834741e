"""Conversion jobs in memory; same contract as postgres.py."""

import dataclasses
import datetime
import uuid
from collections.abc import Callable, Sequence

from chassis.db.requests import MemoryRequests
from headwater.names import ConversionJobName
from services.inference.conversions.errors import ConversionNotFound, ConversionOver
from services.inference.conversions.model import MAX_ATTEMPTS, Job, Made, Plan, State
from services.inference.conversions.store import Claimed, ConversionStore, End
from services.inference.conversions.words import LOST, LOST_WORDS, over

_METHOD = "CreateConversionJob"


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class MemoryConversions(ConversionStore):
    """See ConversionStore. No method waits, so that each is a transaction."""

    def __init__(self, now: Callable[[], datetime.datetime] = _utc_now) -> None:
        self._now = now
        self._jobs: dict[str, Job] = {}
        self._leases: dict[str, tuple[str, datetime.datetime]] = {}
        self._requests = MemoryRequests()

    async def insert(self, uid: str, plan: Plan, actor: str, request_id: str, body_digest: str) -> Job:
        """See ConversionStore."""
        first = await self._requests.first_result(None, _METHOD, request_id, body_digest)
        if first is not None:
            return self._jobs[first]
        self._jobs[uid] = Job(uid, plan, State.PENDING, self._now(), actor)
        await self._requests.remember(None, _METHOD, request_id, body_digest, uid)
        return self._jobs[uid]

    async def get(self, name: ConversionJobName) -> Job:
        """See ConversionStore."""
        job = self._jobs.get(name.job)
        if job is None or job.name != name:
            raise ConversionNotFound(job=name)
        return job

    async def page(self, project: str, before: str, limit: int) -> Sequence[Job]:
        """See ConversionStore."""
        found = [each for each in self._jobs.values() if each.name.project == project]
        found = [each for each in found if not before or each.uid < before]
        return sorted(found, key=lambda each: each.uid, reverse=True)[:limit]

    async def claim(self, lease_s: float) -> Claimed | None:
        """See ConversionStore."""
        now = self._now()
        for job in sorted(self._jobs.values(), key=lambda each: each.uid):
            if job.state.over or (job.state is State.RUNNING and self._leases[job.uid][1] > now):
                continue
            if job.attempts >= MAX_ATTEMPTS:
                self._end(job, End(State.FAILED, failure_reason=LOST, failure=LOST_WORDS))
                continue
            claimed = job.moved(State.RUNNING, attempts=job.attempts + 1, start_time=now)
            token = str(uuid.uuid4())
            self._jobs[job.uid] = claimed
            self._leases[job.uid] = token, now + datetime.timedelta(seconds=lease_s)
            return Claimed(claimed, token)
        return None

    async def renew(self, uid: str, token: str, lease_s: float) -> bool:
        """See ConversionStore."""
        if not self._owns(uid, token):
            return False
        self._leases[uid] = token, self._now() + datetime.timedelta(seconds=lease_s)
        return True

    async def keep(self, uid: str, token: str, made: Made) -> bool:
        """See ConversionStore."""
        if not self._owns(uid, token):
            return False
        self._jobs[uid] = dataclasses.replace(self._jobs[uid], made=made)
        return True

    async def release(self, uid: str, token: str) -> None:
        """See ConversionStore."""
        if self._owns(uid, token):
            job = self._jobs[uid]
            # Not a step forward: as if it had never been claimed.
            self._jobs[uid] = dataclasses.replace(job, state=State.PENDING, attempts=job.attempts - 1, start_time=None)

    async def finish(self, uid: str, token: str, end: End) -> bool:
        """See ConversionStore."""
        if not self._owns(uid, token):
            return False
        self._end(self._jobs[uid], end)
        return True

    async def cancel(self, name: ConversionJobName) -> Job:
        """See ConversionStore."""
        job = await self.get(name)
        if job.state.over:
            raise ConversionOver(over(job), job=name)
        return self._end(job, End(State.CANCELLED))

    def _owns(self, uid: str, token: str) -> bool:
        job = self._jobs.get(uid)
        return job is not None and job.state is State.RUNNING and self._leases[uid][0] == token

    def _end(self, job: Job, end: End) -> Job:
        ended = job.moved(
            end.state,
            end_time=self._now(),
            evidence=end.evidence,
            result=end.result,
            failure_reason=end.failure_reason,
            failure=end.failure,
        )
        self._jobs[job.uid] = ended
        return ended

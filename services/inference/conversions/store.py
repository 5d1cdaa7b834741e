"""What must be remembered of conversion jobs: tests/contract/inference/test_conversion_store.py holds stores to it."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from headwater.names import ConversionJobName
from services.inference.conversions.evidence import Evidence
from services.inference.conversions.model import Job, Made, Plan, State


@dataclasses.dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is one's own for as long as the lease is renewed; ``token`` says so."""

    job: Job
    token: str


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """How a job ended; ``state`` is one of the final ones."""

    state: State
    evidence: Evidence | None = None
    result: str = ""
    failure_reason: str = ""
    failure: str = ""


class ConversionStore(Protocol):
    """Every method is a transaction of its own. Times, and the ends of leases, are by the store's clock."""

    async def insert(self, uid: str, plan: Plan, actor: str, request_id: str, body_digest: str) -> Job:
        """A new job, or the one that the same request made before.

        Raises:
            RequestIdReused: the request id came before with another body.
        """

    async def get(self, name: ConversionJobName) -> Job:
        """The job, or raise ConversionNotFound."""

    async def page(self, project: str, before: str, limit: int) -> Sequence[Job]:
        """The jobs of a project, newest first, with uids before ``before``; empty for all."""

    async def claim(self, lease_s: float) -> Claimed | None:
        """The oldest job that waits, or whose lease has run out: now RUNNING, begun once more, and the caller's own.

        One that was begun ``MAX_ATTEMPTS`` times is FAILED instead, with reason CONVERSION_LOST.
        """

    async def renew(self, uid: str, token: str, lease_s: float) -> bool:
        """Keep the job for longer; False if it is somebody else's now, or has ended."""

    async def keep(self, uid: str, token: str, made: Made) -> bool:
        """Note what has been made, before it is registered; False if the job is not one's own any more."""

    async def release(self, uid: str, token: str) -> None:
        """Give the job back, for whoever comes next; it counts as not begun. Nothing where it is not one's own."""

    async def finish(self, uid: str, token: str, end: End) -> bool:
        """End the job; False, and nothing has changed, if it is not one's own any more."""

    async def cancel(self, name: ConversionJobName) -> Job:
        """End the job, whoever works on it.

        Raises:
            ConversionNotFound
            ConversionOver: it has ended.
        """

"""The chassis' leases and answered requests, bound to one transaction and in this service's words."""

from collections.abc import Collection
from typing import Any

from chassis.db.lease import LeaseLost, Leases
from chassis.db.requests import Requests
from services.training_scheduler.errors import StaleAttempt
from services.training_scheduler.store import LeaseStore, RequestStore


class BoundLeases(LeaseStore):
    """See LeaseStore."""

    def __init__(self, leases: Leases, tx: Any) -> None:
        self._leases = leases
        self._tx = tx

    async def claim(self, job_id: str, owner: str, ttl_s: float) -> int | None:
        """See LeaseStore."""
        return await self._leases.claim(self._tx, job_id, owner, ttl_s)

    async def renew(self, job_id: str, fencing_token: int, ttl_s: float) -> None:
        """See LeaseStore."""
        try:
            await self._leases.renew(self._tx, job_id, fencing_token, ttl_s)
        except LeaseLost as error:
            raise StaleAttempt(job=job_id, fencing_token=fencing_token) from error

    async def release(self, job_id: str, fencing_token: int) -> None:
        """See LeaseStore."""
        await self._leases.release(self._tx, job_id, fencing_token)

    async def held(self, job_ids: Collection[str]) -> frozenset[str]:
        """See LeaseStore."""
        return await self._leases.held(self._tx, job_ids)


class BoundRequests(RequestStore):
    """See RequestStore."""

    def __init__(self, requests: Requests, tx: Any) -> None:
        self._requests = requests
        self._tx = tx

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """See RequestStore."""
        return await self._requests.first_result(self._tx, method, request_id, body_digest)

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See RequestStore."""
        await self._requests.remember(self._tx, method, request_id, body_digest, result)

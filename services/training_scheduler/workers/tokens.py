"""Short-lived credentials for the code that runs in jobs."""

import functools
from collections.abc import Callable

from chassis.auth import Authenticator, Principal, Role, current_token
from headwater.errors import PermissionDenied

_KEPT_SOURCES = 4096


class JobTokens:
    """A writer's token for each job, in the job's name, renewed at half its life."""

    def __init__(self, authenticator: Authenticator, ttl_s: float) -> None:
        def source(job_id: str) -> Callable[[], str]:
            return authenticator.token_source(_subject(job_id), [Role.WRITER], ttl_s)

        self._source = functools.lru_cache(maxsize=_KEPT_SOURCES)(source)

    def of(self, job_id: str) -> str:
        """The job's present token; empty while authentication is off."""
        return self._source(job_id)()

    def newer(self, job_id: str) -> str:
        """The job's present token if the caller's is an older one, else empty."""
        present = self.of(job_id)
        return "" if present == current_token() else present


def require_worker_of(job_id: str, caller: Principal) -> None:
    """Return if the caller runs in the job, or administers the system.

    Raises:
        PermissionDenied: nobody else speaks for a job's workers, whatever they may write.
    """
    if caller.subject != _subject(job_id):
        try:
            caller.require(Role.ADMIN)
        except PermissionDenied:
            raise PermissionDenied("Only the workers of a job report for it.", job=job_id) from None


def _subject(job_id: str) -> str:
    return f"trainingJobs/{job_id}"

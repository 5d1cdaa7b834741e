"""What the scheduler must remember. tests/contract/training holds every implementation to it."""

import dataclasses
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.training_scheduler.checkpoints.model import StoredCheckpoint
from services.training_scheduler.jobs.model import TrainingJob


class JobStore(Protocol):
    """Jobs, as one transaction sees them."""

    async def add(self, job: TrainingJob) -> TrainingJob:
        """Keep a new job; returns it with its place in the queue."""

    async def get(self, job_id: str, *, lock: bool = False) -> TrainingJob:
        """The job; with ``lock`` nobody else changes it before the transaction ends.

        Raises:
            TrainingJobNotFound
        """

    async def save(self, job: TrainingJob) -> TrainingJob:
        """Replace the job, which the caller has locked; returns it with its next revision."""

    async def page(self, project: str, *, before: int | None, limit: int) -> Sequence[TrainingJob]:
        """Jobs of a project before the one with sequence ``before``, newest first."""

    async def unfinished(self, limit: int) -> Sequence[TrainingJob]:
        """The oldest jobs that have not ended, oldest first."""


class LeaseStore(Protocol):
    """Which scheduler works on which job, by the database's time."""

    async def claim(self, job_id: str, owner: str, ttl_s: float) -> int | None:
        """A fencing token larger than any before; None while another owner's lease runs."""

    async def renew(self, job_id: str, fencing_token: int, ttl_s: float) -> None:
        """Hold the job for ``ttl_s`` from now.

        Raises:
            StaleAttempt: the lease ran out, or a newer token is out.
        """

    async def release(self, job_id: str, fencing_token: int) -> None:
        """Let others claim the job at once; nothing happens if the lease is lost."""

    async def held(self, job_ids: Collection[str]) -> frozenset[str]:
        """Those of the jobs that some scheduler works on now."""


class CheckpointStore(Protocol):
    """Checkpoints, as one transaction sees them."""

    async def announce(self, stored: StoredCheckpoint) -> StoredCheckpoint:
        """Keep the bytes of a checkpoint to be from being collected; returns it with its sequence.

        Raises:
            CheckpointBeingCollected: the same bytes are being removed now.
        """

    async def commit(self, stored: StoredCheckpoint, keep: int) -> None:
        """Make it the job's newest, and drop all but the newest ``keep``."""

    async def drop(self, stored: StoredCheckpoint) -> None:
        """Give it up. What was collected and forgotten already is noted again: its bytes may have come after that."""

    async def drop_abandoned(self) -> int:
        """Drop what was announced by attempts that are over; returns how many."""

    async def condemn(self, limit: int) -> Sequence[str]:
        """Digests whose bytes no checkpoint keeps any more, at most ``limit``: remove them, then call ``forget``.

        What an interrupted collector condemned is given again.
        """

    async def forget(self, digest: str) -> None:
        """The condemned bytes are gone."""


class RequestStore(Protocol):
    """What was answered already (promise 4), as one transaction sees it."""

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """See chassis.db.requests."""

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See chassis.db.requests."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transaction:
    """What changes together or not at all."""

    jobs: JobStore
    leases: LeaseStore
    checkpoints: CheckpointStore
    requests: RequestStore


class Store(Protocol):
    """Where it is remembered."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits when the block ends, rolls back when it raises."""

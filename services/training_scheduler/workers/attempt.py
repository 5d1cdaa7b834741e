"""Whose word counts: the fence between the present attempt at a job and all earlier ones (promise 6)."""

import dataclasses

from headwater.names import TrainingJobName
from services.training_scheduler.errors import StaleAttempt, TrainingJobNotFound
from services.training_scheduler.jobs.model import State, TrainingJob
from services.training_scheduler.store import Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Worker:
    """A worker of one attempt."""

    job: TrainingJobName
    fencing_token: int
    rank: int


async def fenced(tx: Transaction, worker: Worker, *, lock: bool = False) -> TrainingJob:
    """The worker's job.

    With ``lock`` the attempt stays the present one until ``tx`` ends, so that what is written in it counts.

    Raises:
        TrainingJobNotFound
        StaleAttempt: another attempt has taken the worker's place, or the job's workers are done.
    """
    job = await tx.jobs.get(worker.job.job, lock=lock)
    if job.project != worker.job.project:
        raise TrainingJobNotFound(job=worker.job.job)
    if job.fencing_token != worker.fencing_token or job.state is not State.RUNNING:
        raise StaleAttempt(job=worker.job.job, fencing_token=worker.fencing_token)
    return job

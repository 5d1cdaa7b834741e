"""What follows when the workers of an attempt are gone: decided from plain values."""

import dataclasses

from services.training_scheduler.jobs.model import Failure, State, TrainingJob, tail


@dataclasses.dataclass(frozen=True, slots=True)
class Restart:
    """The workers start again, from the last checkpoint."""


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """The job ends."""

    outcome: State
    failure: Failure | None = None


def judge(job: TrainingJob, *, succeeded: bool, detail: str, log: str) -> Restart | End:
    """What follows when all workers ended well (``succeeded``), or when one did not (``detail`` says which)."""
    if job.cancel_requested:
        return End(State.CANCELLED)
    if succeeded and job.spec.model and job.result is None:
        text = "The code ended without handing in a model: call session.save_model()."
        return End(State.FAILED, Failure("NO_RESULT", _with_log(text, log)))
    if succeeded:
        return End(State.SUCCEEDED)
    if job.restart_count < job.spec.max_restarts:
        return Restart()
    return End(State.FAILED, Failure("WORKER_FAILED", _with_log(detail, log)))


def _with_log(text: str, log: str) -> str:
    end = tail(log)
    return f"{text}\n{end}" if end else text

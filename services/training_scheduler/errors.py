"""What can go wrong with training jobs, by name."""

from headwater.errors import Aborted, FailedPrecondition, Internal, InvalidArgument, NotFound, Unavailable


class TrainingJobNotFound(NotFound):
    """No such job."""

    reason = "TRAINING_JOB_NOT_FOUND"
    text = "No such training job."


class StaleAttempt(Aborted):
    """The caller's attempt at the job is over: nothing it sends is kept (promise 6)."""

    reason = "STALE_ATTEMPT"
    text = "This attempt at the job is over."


class IllegalTransition(Internal):
    """A state was to follow one that it cannot follow: a fault of this service."""

    reason = "ILLEGAL_TRANSITION"


class InvalidSpec(InvalidArgument):
    """The job can never run as it is described."""

    reason = "INVALID_TRAINING_SPEC"


class ResourcesImpossible(InvalidArgument):
    """No machine behind the launcher is large enough, now or later."""

    reason = "RESOURCES_IMPOSSIBLE"


class LauncherNotConfigured(FailedPrecondition):
    """This scheduler has no such launcher."""

    reason = "LAUNCHER_NOT_CONFIGURED"


class InvalidCheckpoint(InvalidArgument):
    """The file is not a safetensors file."""

    reason = "INVALID_CHECKPOINT"


class CheckpointNotFound(NotFound):
    """The job has no checkpoint."""

    reason = "CHECKPOINT_NOT_FOUND"
    text = "The job has no checkpoint."


class CheckpointBeingCollected(Unavailable):
    """The same bytes are being removed at this moment."""

    reason = "CHECKPOINT_BEING_COLLECTED"
    text = "The same bytes are being removed at this moment; try again."


class WorkspaceUnusable(FailedPrecondition):
    """The scheduler's disk does not take the job's files."""

    reason = "WORKSPACE_UNUSABLE"


class InvalidResult(InvalidArgument):
    """The result names files that no model version can have."""

    reason = "INVALID_RESULT"


class SchedulerStopping(Unavailable):
    """The scheduler is about to stop; jobs are not affected."""

    reason = "SCHEDULER_STOPPING"
    text = "The scheduler is about to stop; ask again."

"""What can go wrong with runs."""

from headwater.errors import AlreadyExists, FailedPrecondition, NotFound, ResourceExhausted


class RunNotFound(NotFound):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"
    text = "There is no such run."


class RunAlreadyExists(AlreadyExists):
    """There is a run of this id: in this project or, which nobody else is told, in another."""

    reason = "RUN_ALREADY_EXISTS"
    text = "There is a run of this id already."


class RunFinished(FailedPrecondition):
    """The run has ended: it takes no more metrics and no other end."""

    reason = "RUN_FINISHED"
    text = "The run has ended; start a new one, or resume it where it was logged by hand."


class RunExecuted(FailedPrecondition):
    """A job executed the run: it cannot execute again (M-29)."""

    reason = "RUN_EXECUTED"
    text = "A job executed the run, which cannot execute again; start a new one."


class RunArchived(FailedPrecondition):
    """The run was taken out of default lists: it can be read, and takes no more metrics."""

    reason = "RUN_ARCHIVED"
    text = "The run is archived: reactivate it first."


class ParameterConflict(FailedPrecondition):
    """A parameter that is set keeps its value."""

    reason = "PARAMETER_CONFLICT"
    text = "The parameter has another value already."


class TooManyParameters(ResourceExhausted):
    """A run has a bounded number of parameters."""

    reason = "TOO_MANY_PARAMETERS"
    text = "The run would have too many parameters."


class TooManyTags(ResourceExhausted):
    """A run has a bounded number of tags."""

    reason = "TOO_MANY_TAGS"
    text = "The run would have too many tags."

"""What can go wrong with runs."""

from headwater.errors import FailedPrecondition, NotFound, ResourceExhausted


class RunNotFound(NotFound):
    """There is no such run."""

    reason = "RUN_NOT_FOUND"
    text = "There is no such run."


class RunFinished(FailedPrecondition):
    """The run has ended: it takes no more metrics and no other end."""

    reason = "RUN_FINISHED"
    text = "The run has ended; start a new one."


class ParameterConflict(FailedPrecondition):
    """A parameter that is set keeps its value."""

    reason = "PARAMETER_CONFLICT"
    text = "The parameter has another value already."


class TooManyParameters(ResourceExhausted):
    """A run has a bounded number of parameters."""

    reason = "TOO_MANY_PARAMETERS"
    text = "The run would have too many parameters."

"""What can go wrong with logged models."""

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


class LoggedModelNotFound(NotFound):
    """The project has no such logged model."""

    reason = "LOGGED_MODEL_NOT_FOUND"
    text = "There is no such logged model."


class LoggedModelFinished(FailedPrecondition):
    """It ended in another state; that stays."""

    reason = "LOGGED_MODEL_FINISHED"
    text = "The logged model has ended in another state."


class LoggedModelArchived(FailedPrecondition):
    """It was taken out of use and takes nothing more."""

    reason = "LOGGED_MODEL_ARCHIVED"
    text = "The logged model is archived."


class LoggedValueConflict(FailedPrecondition):
    """A parameter or a file that is there keeps its value; the metadata names it."""

    reason = "LOGGED_VALUE_CONFLICT"
    text = "There is another value already."


class TooManyEntries(ResourceExhausted):
    """A logged model has a bounded number of parameters, tags and files."""

    reason = "TOO_MANY_ENTRIES"
    text = "The logged model would have too many parameters, tags or files."


class InvalidLoggedModel(InvalidArgument):
    """What is said of a logged model cannot be."""

    reason = "INVALID_LOGGED_MODEL"

"""What can go wrong with experiments."""

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class ExperimentNotFound(NotFound):
    """There is no such experiment; an archived one is found by its uid only."""

    reason = "EXPERIMENT_NOT_FOUND"
    text = "There is no such experiment."


class ExperimentAlreadyExists(AlreadyExists):
    """The name, whatever its case, or the display name is taken by an experiment in use."""

    reason = "EXPERIMENT_ALREADY_EXISTS"
    text = "An experiment in use has this name (case does not matter) or display name already."


class ExperimentArchived(FailedPrecondition):
    """The experiment was taken out of use: it can be read, and gets no more runs."""

    reason = "EXPERIMENT_ARCHIVED"
    text = "The experiment is archived: reactivate it first."


class DefaultExperiment(FailedPrecondition):
    """The default experiment keeps its name and stays in use: runs that name no experiment belong to it."""

    reason = "DEFAULT_EXPERIMENT"
    text = "The default experiment keeps its name and stays in use."


class InvalidReplacement(InvalidArgument):
    """What is to be used instead is not there, archived, or the experiment itself."""

    reason = "INVALID_REPLACEMENT"

"""What can go wrong with projects."""

from headwater.errors import AlreadyExists, FailedPrecondition, NotFound


class ProjectNotFound(NotFound):
    """There is no such project."""

    reason = "PROJECT_NOT_FOUND"
    text = "There is no such project."


class ProjectAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "PROJECT_ALREADY_EXISTS"
    text = "A project of this name exists already (case does not matter)."


class ProjectArchived(FailedPrecondition):
    """The project was taken out of use: all of it can be read, and nothing new begins in it."""

    reason = "PROJECT_ARCHIVED"
    text = "The project is archived: reactivate it first."


class DefaultProject(FailedPrecondition):
    """The project that is always there is always in use."""

    reason = "DEFAULT_PROJECT"
    text = "The default project cannot be archived."

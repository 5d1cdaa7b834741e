"""What can go wrong with projects."""

from headwater.errors import AlreadyExists, NotFound


class ProjectNotFound(NotFound):
    """There is no such project."""

    reason = "PROJECT_NOT_FOUND"
    text = "There is no such project."


class ProjectAlreadyExists(AlreadyExists):
    """The name is taken, whatever its case."""

    reason = "PROJECT_ALREADY_EXISTS"
    text = "A project of this name exists already (case does not matter)."

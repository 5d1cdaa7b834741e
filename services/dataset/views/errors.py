"""What views refuse, by name."""

from headwater.errors import AlreadyExists, NotFound


class ViewNotFound(NotFound):
    """The version has no such view."""

    reason = "VIEW_NOT_FOUND"
    text = "The version has no such view."


class ViewAlreadyExists(AlreadyExists):
    """Another view of the version has the name, if only in another case."""

    reason = "VIEW_ALREADY_EXISTS"
    text = "A view of the version has this name already."

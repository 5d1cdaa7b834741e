"""What can go wrong with what runs made."""

from headwater.errors import AlreadyExists, InvalidArgument, NotFound


class RunArtifactNotFound(NotFound):
    """The run made no such thing."""

    reason = "RUN_ARTIFACT_NOT_FOUND"
    text = "The run made no such thing."


class RunArtifactAlreadyExists(AlreadyExists):
    """Something else has the path; what a run made is never replaced."""

    reason = "RUN_ARTIFACT_ALREADY_EXISTS"
    text = "The run made something else under this path."


class InvalidRunArtifactPath(InvalidArgument):
    """The path could not stand in a directory tree of every system, or meets another as file and folder."""

    reason = "INVALID_RUN_ARTIFACT_PATH"

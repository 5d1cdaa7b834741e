"""What can go wrong with artifacts."""

from headwater.errors import (
    DataLoss,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)


class ArtifactNotFound(NotFound):
    """The project has no such artifact."""

    reason = "ARTIFACT_NOT_FOUND"
    text = "The project has no such artifact."


class ArtifactLost(DataLoss):
    """The artifact is known but its bytes are not there."""

    reason = "ARTIFACT_LOST"
    text = "The bytes of the artifact are missing from the store."


class InvalidUpload(InvalidArgument):
    """The messages of an upload do not come as one header and then data."""

    reason = "INVALID_UPLOAD"
    text = "An upload is one header, then data."


class ArtifactTooLarge(ResourceExhausted):
    """More bytes than this server takes for one artifact; nothing was stored."""

    reason = "ARTIFACT_TOO_LARGE"
    text = "The artifact is larger than this server takes."


class UploadIdle(DeadlineExceeded):
    """Nothing came for too long; nothing was stored."""

    reason = "UPLOAD_IDLE"
    text = "The upload paused for too long and was given up."


class SourceNotAllowed(PermissionDenied):
    """The operator has not listed the place."""

    reason = "ARTIFACT_SOURCE_NOT_ALLOWED"
    text = "Artifacts may only be imported from the places that the operator has listed (HEADWATER_ARTIFACT_SOURCES)."


class SourceNotFound(NotFound):
    """There is no such object."""

    reason = "ARTIFACT_SOURCE_NOT_FOUND"
    text = "There is no such object in the place that it is to be imported from."


class SourceUnavailable(Unavailable):
    """The place does not answer, or refuses the operator's credentials."""

    reason = "ARTIFACT_SOURCE_UNAVAILABLE"
    text = "The place that the artifact is to be imported from cannot be read right now."

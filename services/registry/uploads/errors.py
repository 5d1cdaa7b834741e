"""What can go wrong with uploads."""

from headwater.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


class UploadNotFound(NotFound):
    """The project has no such upload."""

    reason = "ARTIFACT_UPLOAD_NOT_FOUND"
    text = "There is no such upload."


class UploadEnded(FailedPrecondition):
    """The upload takes no more bytes: it became an artifact, or was given up."""

    reason = "ARTIFACT_UPLOAD_ENDED"
    text = "The upload has ended; begin a new one."


class UploadMoved(Aborted):
    """The bytes do not begin where the upload stands; the metadata has ``stored_bytes``."""

    reason = "ARTIFACT_UPLOAD_MOVED"


class UploadIncomplete(FailedPrecondition):
    """Fewer bytes are there than were declared."""

    reason = "ARTIFACT_UPLOAD_INCOMPLETE"


class UploadTooLong(InvalidArgument):
    """More bytes came than were declared; those of this call are not kept."""

    reason = "ARTIFACT_UPLOAD_TOO_LONG"
    text = "More bytes came than the upload was declared to have."

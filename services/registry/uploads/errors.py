"""What can go wrong with uploads."""

from headwater.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted


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
    """More bytes came than were declared; the part that goes past the end is not kept."""

    reason = "ARTIFACT_UPLOAD_TOO_LONG"
    text = "More bytes came than the upload was declared to have."


class TooManyUploads(ResourceExhausted):
    """The project has as many open uploads as this server allows; the metadata has ``max_open``."""

    reason = "TOO_MANY_ARTIFACT_UPLOADS"
    text = "The project has too many uploads that are neither finished nor given up; end some, or wait."


class TooManyParts(ResourceExhausted):
    """The upload came in more parts than are kept of one: in calls that each brought next to nothing."""

    reason = "TOO_MANY_ARTIFACT_UPLOAD_PARTS"
    text = "The upload has too many parts; finish it, or give it up and send more bytes in each call."

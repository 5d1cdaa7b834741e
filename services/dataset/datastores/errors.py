"""What datastores refuse, by name. No text holds a credential, an address, or a path of this machine."""

from headwater.datasets.states import HOW_TO_COPY
from headwater.errors import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)


class DatastoreNotFound(NotFound):
    """The project has no such datastore."""

    reason = "DATASTORE_NOT_FOUND"
    text = "There is no such datastore."


class DatastoreAlreadyExists(AlreadyExists):
    """The name is taken, if only in another case."""

    reason = "DATASTORE_ALREADY_EXISTS"
    text = "A datastore has this name already."


class DatastoreArchived(FailedPrecondition):
    """The datastore was taken out of use, and nothing can be read from it any more."""

    reason = "DATASTORE_ARCHIVED"
    text = "The datastore is archived."


class NameLooksLikeUid(InvalidArgument):
    """A name that looks like a uid would be mistaken for one."""

    reason = "NAME_LOOKS_LIKE_UID"
    text = "A datastore must not be named like a uid."


class InvalidPlace(InvalidArgument):
    """The place is not said in a way that can be followed."""

    reason = "INVALID_PLACE"
    text = "The place is not one that rows can be read from."


class PlaceIsFile(InvalidArgument):
    """A datastore is a place, not a file (M-12)."""

    reason = "PLACE_IS_FILE"
    text = "A datastore is a folder, a bucket or a database, never a single file: a DataPath names the file."


class PlaceNotAllowed(FailedPrecondition):
    """The service's settings do not allow this place, or the address that its name leads to."""

    reason = "PLACE_NOT_ALLOWED"
    text = "The dataset service is not allowed to read there."


class PlaceUnreachable(Unavailable):
    """The place does not answer."""

    reason = "PLACE_UNREACHABLE"
    text = "The place cannot be reached right now."


class PlaceRefuses(FailedPrecondition):
    """The place answers, and does not let us in."""

    reason = "PLACE_REFUSES"
    text = "The place does not accept the credentials, or they do not allow this."


class InvalidCredentials(InvalidArgument):
    """The credentials are none that this kind of place takes."""

    reason = "INVALID_CREDENTIALS"
    text = "The place takes no such credentials."


class CredentialsNeedAuthentication(FailedPrecondition):
    """Credentials are encrypted with a key derived from the authentication key, and there is none."""

    reason = "CREDENTIALS_NEED_AUTHENTICATION"
    text = "Credentials can be kept only where authentication is on: set HEADWATER_AUTH_KEY_FILE."


class CredentialsUnreadable(FailedPrecondition):
    """The credentials were encrypted with another key, or have been tampered with."""

    reason = "CREDENTIALS_UNREADABLE"
    text = "The credentials cannot be decrypted; the authentication key was replaced, perhaps. Set them again."


class InvalidDataPath(InvalidArgument):
    """The path within the datastore is not said in a way that can be followed."""

    reason = "INVALID_DATA_PATH"
    text = "The path is not one within the datastore."


class DataPathNotFound(FailedPrecondition):
    """There is nothing at the path."""

    reason = "DATA_PATH_NOT_FOUND"
    text = "There is nothing at the path."


class DataPathUnreadable(FailedPrecondition):
    """What is at the path cannot be read as rows."""

    reason = "DATA_PATH_UNREADABLE"
    text = "What is at the path cannot be read as rows."


class DataPathChanged(Aborted):
    """What is at the path changed while it was read."""

    reason = "DATA_PATH_CHANGED"
    text = "A file changed while it was being read."


class ReadLiveOnlyWhole(FailedPrecondition):
    """The version is a place, whose rows have no numbers; only a copy's have."""

    reason = "READ_LIVE_ONLY_WHOLE"
    text = (
        "The version is a place outside, and no checkpoint holds a copy of its rows: a split can be read from its"
        f" beginning and in its own order, and nothing else. {HOW_TO_COPY}"
    )


class ReadStalled(DeadlineExceeded):
    """The reader took no rows for so long that the place was closed."""

    reason = "READ_STALLED"
    text = "No rows were taken for so long that the place was closed. Read it again."


class TooManyDatastoreReads(ResourceExhausted):
    """As many places as the service reads at once are being read."""

    reason = "TOO_MANY_DATASTORE_READS"
    text = "Too many places are being read at once."

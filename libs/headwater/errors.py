"""The errors that Headwater raises, on both sides of the wire.

A service raises the most specific class it has, with the values that matter as keyword arguments; the
server edge turns it into a gRPC status with exactly one ``google.rpc.ErrorInfo`` and the client edge turns that
back into the class below with the same ``code``. ``reason`` is a stable contract; the text may change.

    raise ModelNotFound(model="projects/p/models/digits")     # a subclass of NotFound with reason MODEL_NOT_FOUND
"""

import enum
from collections.abc import Sequence
from typing import ClassVar


class Code(enum.Enum):
    """What kind of failure it is; the names are those of the gRPC status codes."""

    INVALID_ARGUMENT = enum.auto()
    NOT_FOUND = enum.auto()
    ALREADY_EXISTS = enum.auto()
    FAILED_PRECONDITION = enum.auto()
    ABORTED = enum.auto()
    OUT_OF_RANGE = enum.auto()
    PERMISSION_DENIED = enum.auto()
    UNAUTHENTICATED = enum.auto()
    RESOURCE_EXHAUSTED = enum.auto()
    UNIMPLEMENTED = enum.auto()
    UNAVAILABLE = enum.auto()
    DEADLINE_EXCEEDED = enum.auto()
    CANCELLED = enum.auto()
    DATA_LOSS = enum.auto()
    INTERNAL = enum.auto()


class HeadwaterError(Exception):
    """An error with a code, a stable reason and the values that explain it.

    ``retry_after_ms`` is set when trying again later can help; the edges send it as ``google.rpc.RetryInfo``
    (gRPC) or ``Retry-After`` (HTTP). ``violations`` are the fields that break a rule, each with what is wanted.
    ``trace_id`` is set on errors that came from a server: with it an operator finds the call in logs and traces.
    """

    code: ClassVar[Code] = Code.INTERNAL
    reason: str = "INTERNAL"
    text: ClassVar[str] = "Something went wrong inside Headwater."
    violations: Sequence[tuple[str, str]] = ()
    trace_id: str = ""

    def __init__(self, message: str = "", /, *, retry_after_ms: int | None = None, **metadata: object) -> None:
        self.metadata = {key: str(value) for key, value in metadata.items()}
        self.message = message or self._describe()
        self.retry_after_ms = retry_after_ms
        super().__init__(self.message)

    def _describe(self) -> str:
        details = ", ".join(f"{key}={value}" for key, value in self.metadata.items())
        return f"{self.text} ({details})" if details else self.text


class InvalidArgument(HeadwaterError):
    """The request can never succeed as it stands."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"
    text = "The request is not valid."


class NotFound(HeadwaterError):
    """What the request names does not exist, or is not visible to the caller."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"
    text = "Not found."


class AlreadyExists(HeadwaterError):
    """What the request would create is there already."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"
    text = "It exists already."


class FailedPrecondition(HeadwaterError):
    """The state of the system forbids it; retrying helps only after that state has been changed."""

    code = Code.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"
    text = "The current state does not allow this."


class Aborted(HeadwaterError):
    """Somebody else went first (a stale etag, a lost race): read again, then retry."""

    code = Code.ABORTED
    reason = "ABORTED"
    text = "Somebody else changed it first."


class OutOfRange(HeadwaterError):
    """A position past the end."""

    code = Code.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"
    text = "The position is past the end."


class PermissionDenied(HeadwaterError):
    """The caller is known and may not do this."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"
    text = "The caller's role does not allow this."


class Unauthenticated(HeadwaterError):
    """The caller is not known: no credentials, or ones that are not ours or have expired."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"
    text = "Valid credentials are needed."


class ResourceExhausted(HeadwaterError):
    """A bound is reached (a queue, a quota, a message size)."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"
    text = "A limit is reached."


class Unimplemented(HeadwaterError):
    """It is well formed but this server does not do it."""

    code = Code.UNIMPLEMENTED
    reason = "UNIMPLEMENTED"
    text = "This is not supported."


class Unavailable(HeadwaterError):
    """A dependency is away; the same call may succeed later."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"
    text = "The service cannot be reached right now."


class DeadlineExceeded(HeadwaterError):
    """The caller's time ran out."""

    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"
    text = "The deadline passed before the work was done."


class Cancelled(HeadwaterError):
    """The caller went away."""

    code = Code.CANCELLED
    reason = "CANCELLED"
    text = "The call was cancelled."


class DataLoss(HeadwaterError):
    """Stored bytes do not match their digest."""

    code = Code.DATA_LOSS
    reason = "DATA_LOSS"
    text = "Stored bytes do not match their digest."


class Internal(HeadwaterError):
    """A fault of ours; the text never tells more than a trace id."""


BY_CODE: dict[Code, type[HeadwaterError]] = {
    error.code: error
    for error in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        PermissionDenied,
        Unauthenticated,
        ResourceExhausted,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
        Cancelled,
        DataLoss,
        Internal,
    )
}
"""The class that stands for each code; what a client raises for an error it has no closer class for."""

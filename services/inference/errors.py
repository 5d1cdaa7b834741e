"""What a request for a prediction can meet."""

import copy

from headwater.errors import (
    DeadlineExceeded,
    HeadwaterError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)


def own_error(error: Exception) -> Exception:
    """The error for one of several who get it: whoever adds to it what is theirs alone, as an id, tells no other. The
    very one if it is of a class that cannot be copied."""
    try:
        own = copy.copy(error).with_traceback(error.__traceback__)
    except Exception:
        return error
    if isinstance(own, HeadwaterError):
        own.metadata = dict(own.metadata)
    own.__cause__ = error.__cause__  # which no copy has
    return own


class ModelNotFound(NotFound):
    """No deployment has this name."""

    reason = "MODEL_NOT_FOUND"
    text = "Request for unknown model: no deployment has this name."


class VersionNotServed(NotFound):
    """The deployment exists but answers with another version than the one asked for."""

    reason = "VERSION_NOT_SERVED"
    text = "This version is not served."


class ModelNotReady(Unavailable):
    """The deployment exists but nothing is loaded for it now."""

    reason = "MODEL_NOT_READY"
    text = "The model is not ready."


class QueueFull(ResourceExhausted):
    """As many requests wait for this model as may wait."""

    reason = "QUEUE_FULL"
    text = "Too many requests wait for this model."


class QueueTimedOut(DeadlineExceeded):
    """The request was not begun with before its deadline, or in the longest time that its deployment lets it wait."""

    reason = "QUEUE_TIMED_OUT"
    text = "The request has waited for too long and was not computed."


class RecordsBehind(ResourceExhausted):
    """So many answers wait to be recorded that no further one is given: none may go unrecorded."""

    reason = "RECORDS_BEHIND"
    text = "Too many answers wait to be recorded."


class OutOfTime(DeadlineExceeded):
    """The time is over that the client gave the question; what was being computed for it is given up."""


class InvalidRequest(InvalidArgument):
    """The request contradicts itself or the protocol."""

    reason = "INVALID_REQUEST"


class UnknownParameter(InvalidArgument):
    """A parameter that this server does not know; none is ever ignored."""

    reason = "UNKNOWN_PARAMETER"


class NotSupported(Unimplemented):
    """A part of the protocol that this server does not do; the text says what to do instead."""

    reason = "NOT_SUPPORTED"

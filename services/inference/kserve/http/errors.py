"""What can be wrong with an HTTP request itself, and how every error is told: ``{"error": "…", …}``."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from chassis.http.errors import HTTP_STATUS, error_headers
from chassis.telemetry import current_trace_id
from headwater.errors import (
    DeadlineExceeded,
    HeadwaterError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unimplemented,
)


class NoSuchPath(NotFound):
    """The protocol has nothing there."""

    reason = "NO_SUCH_PATH"
    text = "There is nothing at this path."


class MethodNotAllowed(Unimplemented):
    """The path is there, but is asked for with another method."""

    reason = "METHOD_NOT_ALLOWED"
    text = "This path is not asked for with this method."


class RequestTooLarge(InvalidArgument):
    """The body has more bytes than a message may have, as it comes or once it is unpacked."""

    reason = "REQUEST_TOO_LARGE"
    text = "The request is too large."


class BodyTimedOut(DeadlineExceeded):
    """The client stopped sending before the end of the body."""

    reason = "BODY_TIMED_OUT"
    text = "The rest of the body did not come."


class UnknownEncoding(InvalidArgument):
    """The body is packed in a way that is not known here."""

    reason = "UNKNOWN_ENCODING"
    text = "A request may be packed with gzip or deflate."


class TooManyRequests(ResourceExhausted):
    """As many requests are being answered as the service admits at once."""

    reason = "TOO_MANY_CALLS"
    text = "The service is busy."


_STATUS: Mapping[str, int] = {
    MethodNotAllowed.reason: 405,
    RequestTooLarge.reason: 413,
    UnknownEncoding.reason: 415,
    BodyTimedOut.reason: 408,
}


def tell(error: HeadwaterError) -> Response:
    """The answer that tells of ``error``: what the protocol prescribes is the text, the rest is for programs."""
    body = {
        "error": error.message,
        "code": error.code.name,
        "reason": error.reason,
        "metadata": error.metadata,
        "trace_id": current_trace_id(),
    }
    headers = error_headers(error)
    if request_id := error.metadata.get("request_id"):  # the failure is recorded, too
        headers["headwater-request-id"] = request_id
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.metadata["allowed"]
    return JSONResponse(body, _STATUS.get(error.reason, HTTP_STATUS[error.code]), headers)

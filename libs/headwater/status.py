"""The one table between Headwater's errors and ``google.rpc.Status``, used by both sides of gRPC and of Flight.

A status carries exactly one ``ErrorInfo`` (the reason and the values that explain it), a ``RequestInfo`` whose
``request_id`` is the trace id, and, where they help, ``RetryInfo`` and ``BadRequest``
(https://google.aip.dev/193).
"""

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from headwater.errors import BY_CODE, Code, HeadwaterError

DOMAIN = "headwater"
DETAILS_KEY = "grpc-status-details-bin"
"""The trailer that carries the status (gRPC), and what Flight puts its ``extra_info`` into."""

# The status travels in HTTP/2 headers, of which a peer takes 8 KiB: what a caller sent in is not sent back in full.
# All bounds together, in bytes of UTF-8, percent-encoded (message) and in base64 (details), stay below 6 KiB.
_MAX_MESSAGE = 500
_MAX_KEY = 40
_MAX_VALUE = 160
_MAX_VALUES = 6
_MAX_VIOLATIONS = 6

_NUMBERS: dict[Code, int] = {code: code_pb2.Code.Value(code.name) for code in Code}
_CODES: dict[int, Code] = {number: code for code, number in _NUMBERS.items()}


def to_proto(error: HeadwaterError, trace_id: str = "") -> status_pb2.Status:
    """The status that tells of ``error``; long texts are cut so that it fits into the trailers of a call."""
    metadata = {
        _cut(key, _MAX_KEY): _cut(value, _MAX_VALUE) for key, value in list(error.metadata.items())[:_MAX_VALUES]
    }
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if trace_id:
        details.append(error_details_pb2.RequestInfo(request_id=trace_id))
    if error.retry_after_ms is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(error.retry_after_ms)
        details.append(retry)
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for field, description in error.violations[:_MAX_VIOLATIONS]:
            bad.field_violations.add(field=_cut(field, _MAX_VALUE), description=_cut(description, _MAX_VALUE))
        details.append(bad)
    status = status_pb2.Status(code=_NUMBERS[error.code], message=_cut(error.message, _MAX_MESSAGE))
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def from_proto(status: status_pb2.Status) -> HeadwaterError:
    """The error that ``status`` tells of: of the class of its code, with the reason and values that were sent."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, request, retry, bad):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    error = BY_CODE[_CODES.get(status.code, Code.INTERNAL)](status.message)
    error.metadata = dict(info.metadata)
    if info.reason:
        error.reason = info.reason
    if retry.HasField("retry_delay"):
        error.retry_after_ms = retry.retry_delay.ToMilliseconds()
    error.violations = tuple((violation.field, violation.description) for violation in bad.field_violations)
    error.trace_id = request.request_id
    return error


def from_bytes(details: bytes) -> HeadwaterError | None:
    """The error in a serialised status; None if these bytes are not one that tells of an error."""
    try:
        status = status_pb2.Status.FromString(details)
        return from_proto(status) if status.code else None
    except DecodeError:
        return None


def from_code(code: str, message: str) -> HeadwaterError:
    """The error for a bare code: what a proxy, the gRPC core or another server sent without details."""
    known = Code.__members__.get(code, Code.INTERNAL)
    return BY_CODE[known](message)


def _cut(text: str, size_bytes: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= size_bytes:
        return encoded.decode()
    return encoded[: size_bytes - 3].decode(errors="ignore") + "…"

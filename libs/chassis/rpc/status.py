"""From an exception to what the caller is told (promise 16): a code, a stable reason, a trace id; nothing of inside.

The table itself is ``headwater.status``; the client side reads it backwards.
"""

import dataclasses

import grpc
import structlog

from chassis.telemetry import current_trace_id
from headwater.errors import Code, HeadwaterError, Internal
from headwater.status import DETAILS_KEY, to_proto

_STATUS_CODES: dict[Code, grpc.StatusCode] = {code: grpc.StatusCode[code.name] for code in Code}
_OURS = frozenset({Code.INTERNAL, Code.DATA_LOSS})
"""Codes that say that something is wrong here, not with the request."""

_log = structlog.get_logger("chassis.rpc")


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """What a gRPC call ends with when it fails."""

    code: grpc.StatusCode
    text: str
    trailers: tuple[tuple[str, bytes], ...]


def to_status(error: HeadwaterError) -> Status:
    """The gRPC status that tells of ``error``, with the trace id of the current call."""
    proto = to_proto(error, current_trace_id())
    return Status(_STATUS_CODES[error.code], proto.message, ((DETAILS_KEY, proto.SerializeToString()),))


def as_headwater_error(error: BaseException, method: str) -> HeadwaterError:
    """``error`` itself if it is meant for callers, else INTERNAL with a fixed text; the log gets the whole truth."""
    if isinstance(error, HeadwaterError):
        if error.code in _OURS:
            _log.error("call failed", method=method, reason=error.reason, exc_info=error)
        return error
    _log.error("call failed unexpectedly", method=method, exc_info=error)
    trace_id = current_trace_id()
    return Internal(f"{Internal.text} Its log has the details under the trace id {trace_id}." if trace_id else "")

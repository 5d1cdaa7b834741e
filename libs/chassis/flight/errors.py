"""Headwater's errors as Flight carries them: the same ``google.rpc.Status`` as gRPC, in ``extra_info``.

pyarrow sends the text and traceback of any other exception to the client; nothing but these may leave a Flight method.
"""

import pyarrow as pa
from pyarrow import flight

from chassis.rpc.status import as_headwater_error
from chassis.telemetry import current_trace_id
from headwater.errors import Cancelled, Code, HeadwaterError, InvalidArgument
from headwater.status import to_proto

_CLASSES: dict[Code, type[flight.FlightError]] = {
    Code.UNAUTHENTICATED: flight.FlightUnauthenticatedError,
    Code.PERMISSION_DENIED: flight.FlightUnauthorizedError,
    Code.UNAVAILABLE: flight.FlightUnavailableError,
    Code.DEADLINE_EXCEEDED: flight.FlightTimedOutError,
    Code.CANCELLED: flight.FlightCancelledError,
    Code.INTERNAL: flight.FlightInternalError,
}
"""Flight knows these codes only; all others travel as FlightServerError with the true code in ``extra_info``."""


class MalformedStream(InvalidArgument):
    """What the client sends is not a stream of record batches of the schema it began with."""

    reason = "MALFORMED_STREAM"
    text = "The stream is not well-formed Arrow IPC."


def to_flight_error(error: BaseException, method: str) -> flight.FlightError:
    """What a Flight method raises for ``error``."""
    failure = as_headwater_error(error, method)
    proto = to_proto(failure, current_trace_id())
    text = f"{failure.reason}: {proto.message} [trace {current_trace_id()}]"
    return _CLASSES.get(failure.code, flight.FlightServerError)(text, extra_info=proto.SerializeToString())


def of_reading(error: Exception) -> HeadwaterError | None:
    """What an exception means that pyarrow raised while reading a client's stream; None: it is not pyarrow's."""
    if isinstance(error, flight.FlightCancelledError | pa.ArrowCancelled):
        return Cancelled()
    if isinstance(error, flight.FlightError | pa.ArrowException | pa.ArrowInvalid | OSError):
        return MalformedStream()
    return None

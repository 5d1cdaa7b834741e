"""Headwater's errors as Flight carries them: the same ``google.rpc.Status`` as gRPC, in ``extra_info``.

pyarrow sends the text and traceback of any other exception to the client; nothing but these may leave a Flight method.
"""

import pyarrow as pa
from pyarrow import flight

from chassis.rpc.status import as_headwater_error
from chassis.telemetry import current_trace_id
from headwater.errors import Cancelled, Code, HeadwaterError, InvalidArgument
from headwater.status import from_bytes, to_proto

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


def to_schema_error(error: flight.FlightError) -> Exception:
    """What GetSchema raises for a ``to_flight_error``: there, and only there, Arrow takes no error of Flight's own.

    It tells the client the text and code, and no ``extra_info``.
    """
    proto = from_bytes(error.extra_info)
    code = Code.INTERNAL if proto is None else proto.code
    refused: type[Exception] = type("GetSchemaRefused", (_Stackless, _BASES.get(code, Exception)), {})
    return refused(str(error))


class _Stackless(Exception):
    """Arrow sends the client what ``traceback.format_exception`` says, and the name of the class where that fails."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it

    @property
    def __cause__(self) -> None:  # type: ignore[override]
        raise RuntimeError("no stack for clients")


_BASES: dict[Code, type[Exception]] = {
    Code.NOT_FOUND: KeyError,
    Code.INVALID_ARGUMENT: ValueError,
    Code.UNIMPLEMENTED: NotImplementedError,
}
"""Which exceptions Arrow tells as these codes; any other is told as UNKNOWN."""


def of_reading(error: Exception) -> HeadwaterError | None:
    """What an exception means that pyarrow raised while reading a client's stream; None: it is not pyarrow's."""
    if isinstance(error, flight.FlightCancelledError | pa.ArrowCancelled):
        return Cancelled()
    if isinstance(error, flight.FlightError | pa.ArrowException | pa.ArrowInvalid | OSError):
        return MalformedStream()
    return None

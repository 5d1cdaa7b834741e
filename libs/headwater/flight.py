"""Arrow Flight from the client's side: the same errors as over gRPC."""

import contextlib
from collections.abc import Iterator

from pyarrow import flight

from headwater.errors import (
    Cancelled,
    DeadlineExceeded,
    HeadwaterError,
    Internal,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from headwater.status import from_bytes

_BY_CLASS: dict[type[Exception], type[HeadwaterError]] = {
    flight.FlightUnavailableError: Unavailable,
    flight.FlightTimedOutError: DeadlineExceeded,
    flight.FlightCancelledError: Cancelled,
    flight.FlightUnauthenticatedError: Unauthenticated,
    flight.FlightUnauthorizedError: PermissionDenied,
}
"""For errors that are not a Headwater server's own: a proxy's, or the connection's."""


@contextlib.contextmanager
def flight_errors() -> Iterator[None]:
    """Around Flight calls: raises the HeadwaterError that the server told of, for the Flight error that came of it."""
    try:
        yield
    except flight.FlightError as error:
        raise from_flight(error) from error


def from_flight(error: flight.FlightError) -> HeadwaterError:
    """The error that a Flight error carries, or the nearest one when it carries none."""
    told = from_bytes(bytes(error.extra_info or b""))
    return told or _BY_CLASS.get(type(error), Internal)(str(error))

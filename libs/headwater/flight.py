"""Arrow Flight from the client's side: the same errors as over gRPC."""

import contextlib
import re
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


# pyarrow makes an OSError of what goes wrong while a stream is read, and keeps of the status only this.
_BY_DETAIL: dict[str, type[HeadwaterError]] = {
    "Unavailable": Unavailable,
    "TimedOut": DeadlineExceeded,
    "Cancelled": Cancelled,
    "Unauthenticated": Unauthenticated,
    "Unauthorized": PermissionDenied,
    "Internal": Internal,
}
_DETAIL = re.compile(r"Detail: (\w+)")


@contextlib.contextmanager
def flight_errors() -> Iterator[None]:
    """Around Flight calls: raises the HeadwaterError that the server told of, for the Flight error that came of it."""
    try:
        yield
    except flight.FlightError as error:
        raise from_flight(error) from error
    except OSError as error:
        kinds = [_BY_DETAIL[detail] for detail in _DETAIL.findall(str(error)) if detail in _BY_DETAIL]
        if not kinds:
            raise
        raise kinds[-1](str(error)) from error


def from_flight(error: flight.FlightError) -> HeadwaterError:
    """The error that a Flight error carries, or the nearest one when it carries none."""
    told = from_bytes(bytes(error.extra_info or b""))
    return told or _BY_CLASS.get(type(error), Internal)(str(error))

"""Authentication of every Flight call, before the method is even looked up."""

import contextvars
from collections.abc import Mapping, Sequence
from typing import Any

from pyarrow import flight

from chassis.auth import Authenticator, Principal
from chassis.flight.errors import to_flight_error
from chassis.rpc.interceptors import bearer_token
from chassis.telemetry import Tracing
from headwater.errors import Unimplemented


class CallerFactory(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Makes the ``Caller`` of each call, or refuses the call."""

    def __init__(self, authenticator: Authenticator, tracing: Tracing) -> None:
        super().__init__()
        self._authenticator = authenticator
        self._tracing = tracing

    def start_call(self, info: flight.CallInfo, headers: Mapping[str, Sequence[Any]]) -> "Caller":
        """Called by Arrow when a call comes in."""
        return contextvars.Context().run(self._authenticate, info, headers)

    def _authenticate(self, info: flight.CallInfo, headers: Mapping[str, Sequence[Any]]) -> "Caller":
        parent, state = _first(headers, "traceparent"), _first(headers, "tracestate")
        try:
            token = bearer_token(_first(headers, "authorization"))
            caller = Caller(self._authenticator.authenticate(token), token, parent, state)
            if info.method in _NOT_OURS:
                raise Unimplemented()
            return caller
        except Exception as error:
            self._tracing.begin("Flight", parent, state)
            raise to_flight_error(error, f"Flight {info.method}") from None


_NOT_OURS = frozenset({flight.FlightMethod.INVALID, flight.FlightMethod.HANDSHAKE})
"""What Arrow would answer by itself: Handshake, and methods that pyarrow has no name for, as PollFlightInfo."""


class Caller(flight.ServerMiddleware):  # type: ignore[misc]
    """Who makes this call, and the trace that it belongs to."""

    def __init__(self, principal: Principal, token: str, traceparent: str, tracestate: str) -> None:
        super().__init__()
        self.principal = principal
        self.token = token
        self.traceparent = traceparent
        self.tracestate = tracestate


def _first(headers: Mapping[str, Sequence[Any]], name: str) -> str:
    values = headers.get(name) or ()
    return str(values[0]) if values else ""

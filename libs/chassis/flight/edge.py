"""The Flight server that services subclass. Subclasses implement hooks; authentication, roles, tickets, errors,
telemetry and limits are around every one of them and cannot be left out.

    class DatasetFlight(FlightEdge):
        roles = {"get_flight_info": Role.READER, "do_get": Role.READER, "do_put": Role.WRITER}

        def __init__(self, wiring: FlightWiring, datasets: Datasets) -> None:
            super().__init__(wiring)
            self._datasets = datasets

        def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
            plan = call.run(self._datasets.plan(descriptor.command))      # awaits on the service's event loop
            ticket = call.ticket(plan.to_bytes())                         # signed, expires, bound to this caller
            return flight.FlightInfo(plan.schema, descriptor, [flight.FlightEndpoint(ticket, [])], plan.rows, -1)

        def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
            return flight.RecordBatchStream(self._datasets.table(payload))

    service.add_flight(lambda wiring: DatasetFlight(wiring, datasets), port=settings.flight_port)
"""

import asyncio
import contextvars
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, final

import pyarrow as pa
from pyarrow import flight

from chassis import memory
from chassis.auth import Authenticator, Role, set_caller
from chassis.flight.call import Answer, FlightCall, GuardedStream, Received, reading, received
from chassis.flight.errors import to_flight_error, to_schema_error
from chassis.flight.middleware import CallerFactory
from chassis.flight.tickets import Tickets
from chassis.rpc.interceptors import NotReady
from chassis.telemetry import Metrics, Tracing
from headwater.errors import HeadwaterError, PermissionDenied, Unimplemented

T = TypeVar("T")

_CALLER = "headwater"


class UnknownAction(Unimplemented):
    """The server has no action of this name."""

    reason = "UNKNOWN_ACTION"
    text = "There is no such action."


@dataclasses.dataclass(frozen=True, slots=True)
class FlightWiring:
    """What the service gives to its Flight edge."""

    location: str
    authenticator: Authenticator
    loop: asyncio.AbstractEventLoop
    tracing: Tracing
    metrics: Metrics
    ready: Callable[[], bool]
    max_batch_bytes: int


class FlightEdge(flight.FlightServerBase):  # type: ignore[misc]
    """A Flight server that denies by default, tells errors as gRPC does, and leaves the bytes to native code."""

    roles: ClassVar[Mapping[str, Role]] = {}
    """The role that each Flight method needs, by pyarrow's name of it; a method without one is refused to everybody."""
    actions: ClassVar[Mapping[str, str]] = {}
    """What DoAction can do, by name, each with a sentence about it; any other action is refused."""

    def __init_subclass__(cls) -> None:
        overridden = _FINAL & vars(cls).keys()
        if overridden:
            raise TypeError(
                f"{cls.__name__} must implement the hooks of FlightEdge, not {', '.join(sorted(overridden))}"
            )

    def __init__(self, wiring: FlightWiring) -> None:
        self._wiring = wiring
        self._tickets = Tickets(wiring.authenticator.derive_key("flight-ticket"))
        memory.keep_freed()
        super().__init__(wiring.location, middleware={_CALLER: CallerFactory(wiring.authenticator, wiring.tracing)})

    # The hooks. What they raise is told to the caller as gRPC would tell it.

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        """Tell where the data of ``descriptor`` is, with tickets from ``call.ticket``."""
        raise Unimplemented()

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
        """Send the data of an opened ticket: ``flight.RecordBatchStream(table)``, or ``call.stream``."""
        raise Unimplemented()

    def put(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> bytes | None:
        """Take the client's validated batches; the bytes returned are sent as the result of the put."""
        raise Unimplemented()

    def list(self, call: FlightCall, criteria: bytes) -> Iterable[flight.FlightInfo]:
        """What there is to get."""
        raise Unimplemented()

    def action(self, call: FlightCall, name: str, body: bytes) -> Iterable[bytes]:
        """Do something that has a name, one of ``actions``."""
        raise Unimplemented()

    def exchange(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> Answer:
        """Take the client's validated batches and answer while they come."""
        raise Unimplemented()

    # Flight's own methods, each through the guard.

    @final
    def get_flight_info(self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor) -> Any:
        """Flight's GetFlightInfo; see ``info``."""
        return self._guard("get_flight_info", context, lambda call: self.info(call, descriptor))

    @final
    def get_schema(self, context: flight.ServerCallContext, descriptor: flight.FlightDescriptor) -> Any:
        """Flight's GetSchema: the schema of what ``info`` describes."""
        try:
            return self._guard(
                "get_schema", context, lambda call: flight.SchemaResult(self.info(call, descriptor).schema)
            )
        except flight.FlightError as error:
            raise to_schema_error(error) from None

    @final
    def do_get(self, context: flight.ServerCallContext, ticket: flight.Ticket) -> Any:
        """Flight's DoGet; see ``get``."""

        def get(call: FlightCall) -> flight.FlightDataStream:
            stream = self.get(call, self._tickets.open(ticket.ticket, call.principal.subject))
            if isinstance(stream, flight.GeneratorStream) and not isinstance(stream, GuardedStream):
                raise TypeError("a stream made in Python must come from FlightCall.stream")
            return stream

        return self._guard("do_get", context, get)

    @final
    def do_put(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.FlightMetadataWriter,
    ) -> None:
        """Flight's DoPut; see ``put``."""

        def put(call: FlightCall) -> None:
            stream = received(reader, context, self._wiring.max_batch_bytes)
            result = self.put(call, descriptor, stream, reading(lambda: reader.schema))
            if result is not None:
                writer.write(pa.py_buffer(result))

        self._guard("do_put", context, put)

    @final
    def list_flights(self, context: flight.ServerCallContext, criteria: bytes) -> Any:
        """Flight's ListFlights; see ``list``."""

        def listed(call: FlightCall) -> Iterator[flight.FlightInfo]:
            infos = iter(self.list(call, criteria))
            first = list(itertools.islice(infos, 1))  # what is wrong with the call is told by the method itself
            return itertools.chain(first, call.guarded(infos))

        return self._guard("list_flights", context, listed)

    @final
    def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Any:
        """Flight's DoAction; see ``action``."""

        def act(call: FlightCall) -> Iterator[bytes]:
            if action.type not in self.actions:
                raise UnknownAction(action=action.type[:100], actions=", ".join(self.actions))
            body = action.body.to_pybytes() if action.body is not None else b""
            return iter([*self.action(call, action.type, body)])

        return self._guard("do_action", context, act)

    @final
    def list_actions(self, context: flight.ServerCallContext) -> Any:
        """Flight's ListActions; see ``actions``."""
        known = [flight.ActionType(name, description) for name, description in self.actions.items()]
        return self._guard("list_actions", context, lambda _call: iter(known))

    @final
    def do_exchange(
        self,
        context: flight.ServerCallContext,
        descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        writer: flight.MetadataRecordBatchWriter,
    ) -> None:
        """Flight's DoExchange; see ``exchange``."""

        def exchange(call: FlightCall) -> None:
            stream = received(reader, context, self._wiring.max_batch_bytes)
            self.exchange(call, descriptor, stream, reading(lambda: reader.schema)).send(writer, context)

        self._guard("do_exchange", context, exchange)

    def _guard(self, method: str, context: flight.ServerCallContext, work: Callable[[FlightCall], T]) -> T:
        # The threads are Arrow's and serve one call after the other: each call has a context of its own.
        return contextvars.Context().run(self._answer, method, context, work)

    def _answer(self, method: str, context: flight.ServerCallContext, work: Callable[[FlightCall], T]) -> T:
        begun = time.perf_counter()
        calls = self._wiring.metrics.calls("flight", method)
        calls.begin()
        caller = context.get_middleware(_CALLER)
        span = self._wiring.tracing.begin(f"Flight {method}", caller.traceparent, caller.tracestate)
        code = "OK"
        try:
            role = self.roles.get(method)
            if role is None and method not in _ROLELESS:
                raise PermissionDenied("This server does not offer the method.", method=method)
            caller.principal.require(role or Role.READER)
            if not self._wiring.ready():
                raise NotReady(retry_after_ms=1000)
            set_caller(caller.principal, caller.token)
            return work(FlightCall(method, caller.principal, context, self._wiring.loop, self._tickets))
        except Exception as error:
            code = error.code.name if isinstance(error, HeadwaterError) else "INTERNAL"
            raise to_flight_error(error, f"Flight {method}") from None
        finally:
            calls.end(code, time.perf_counter() - begun)
            if span is not None:
                span.set_attribute("rpc.response.status_code", code)
                span.end()


_ROLELESS = frozenset({"list_actions"})
"""What only tells what the class says: to be known as a reader is enough."""

_FINAL = frozenset(name for name, value in vars(FlightEdge).items() if getattr(value, "__final__", False))

"""The Flight server that services subclass (skeleton; the hooks' signatures are final).

class DatasetFlight(FlightEdge):
    roles = {"do_get": Role.READER, "get_flight_info": Role.READER, "do_put": Role.WRITER}

    def __init__(self, wiring: FlightWiring, datasets: Datasets) -> None:
        super().__init__(wiring)
        self._datasets = datasets

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        command = GetCommand.FromString(descriptor.command)
        plan = call.run(self._datasets.plan(command))          # awaits on the service's event loop
        ticket = call.ticket(plan.SerializeToString())         # signed, expires, bound to this caller
        return flight.FlightInfo(plan.schema, descriptor, [flight.FlightEndpoint(ticket, self.locations)], n, b)

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream: ...   # payload of an opened ticket
    def put(self, call, descriptor, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> bytes | None: ...

service.add_flight(lambda wiring: DatasetFlight(wiring, datasets), port=settings.flight_port)
"""

import asyncio
import dataclasses
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from pyarrow import flight

from chassis.auth import Authenticator, Principal, Role
from headwater.errors import Unimplemented

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class FlightWiring:
    """What the service gives to its Flight edge."""

    location: str
    authenticator: Authenticator
    loop: asyncio.AbstractEventLoop


class FlightCall:
    """One Flight call: who calls, and the way back to the event loop."""

    principal: Principal

    def run(self, work: Coroutine[Any, Any, T]) -> T: ...  # type: ignore[empty-body]
    def ticket(self, payload: bytes, ttl_s: float = 3600) -> flight.Ticket: ...


class FlightEdge(flight.FlightServerBase):  # type: ignore[misc]
    """A Flight server that denies by default and never leaks."""

    roles: ClassVar[Mapping[str, Role]] = {}

    def __init__(self, wiring: FlightWiring) -> None:
        super().__init__(wiring.location)

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        raise Unimplemented()

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
        raise Unimplemented()

    def put(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        batches: Iterator[pa.RecordBatch],
        schema: pa.Schema,
    ) -> bytes | None:
        raise Unimplemented()

    def list(self, call: FlightCall, criteria: bytes) -> Iterable[flight.FlightInfo]:
        raise Unimplemented()

    def action(self, call: FlightCall, name: str, body: bytes) -> Iterable[bytes]:
        raise Unimplemented()

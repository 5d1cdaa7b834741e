"""The Flight edge: default deny, signed tickets, the same errors as gRPC, native bytes (promises 14 and 16)."""

import asyncio
import contextlib
import functools
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import flight

from chassis import Service, ServiceSettings
from chassis.auth import Authenticator, Role, current_principal
from chassis.flight import Answer, FlightCall, FlightEdge, FlightWiring, Message, Received
from chassis.flight.call import METADATA_MAX_BYTES
from chassis.flight.tickets import MAX_TICKET_BYTES
from chassis.telemetry import current_trace_id
from chassis.testing import StartService, TokenFor
from chassis.testing.bad_inputs import bad_tokens
from headwater.errors import Code, HeadwaterError, NotFound
from headwater.status import from_bytes

TABLE = pa.table({"number": pa.array(range(1000), pa.int64())})
SECRET = "/home/vault SELECT secret"


class RowsNotFound(NotFound):
    """No such rows."""

    reason = "ROWS_NOT_FOUND"


class Numbers(FlightEdge):
    """Serves ``TABLE``; what a payload or command asks for, it gets."""

    roles: ClassVar[Mapping[str, Role]] = {
        "get_flight_info": Role.READER,
        "get_schema": Role.READER,
        "do_get": Role.READER,
        "do_put": Role.WRITER,
        "list_flights": Role.READER,
        "do_exchange": Role.READER,
    }

    def __init__(self, wiring: FlightWiring) -> None:
        super().__init__(wiring)
        self.got: list[pa.RecordBatch] = []

    def info(self, call: FlightCall, descriptor: flight.FlightDescriptor) -> flight.FlightInfo:
        if descriptor.command == b"boom":
            raise ValueError(SECRET)
        if descriptor.command == b"missing":
            raise RowsNotFound(dataset="digits")
        endpoint = flight.FlightEndpoint(call.ticket(descriptor.command, ttl_s=1), [])
        return flight.FlightInfo(TABLE.schema, descriptor, [endpoint], 1000, -1)

    def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
        if payload == b"caller":
            subject, trace = call.run(self._caller())
            return flight.RecordBatchStream(pa.table({"subject": [subject], "trace": [trace]}))
        if payload == b"boom midway":
            return call.stream(TABLE.schema, self._failing())
        if payload == b"unguarded":
            return flight.GeneratorStream(TABLE.schema, self._failing())
        return flight.RecordBatchStream(TABLE)

    def put(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> bytes | None:
        if descriptor.command == b"boom":
            raise ValueError(SECRET)
        if descriptor.command == b"messages":
            return repr([(m.batch and m.batch.num_rows, m.metadata) for m in received.messages()]).encode()
        self.got = list(received)
        return str(sum(batch.num_rows for batch in self.got)).encode()

    def list(self, call: FlightCall, criteria: bytes) -> Iterable[flight.FlightInfo]:
        yield self.info(call, flight.FlightDescriptor.for_command(b"one"))
        if criteria == b"boom":
            raise ValueError(SECRET)

    def exchange(
        self,
        call: FlightCall,
        descriptor: flight.FlightDescriptor,
        received: Received,
        schema: pa.Schema,
    ) -> Answer:
        if descriptor.command == b"boom":
            raise ValueError(SECRET)

        def doubled() -> Iterator[Message]:
            for batch in received:
                numbers = pc.multiply(batch.column("number"), 2)
                yield Message(pa.record_batch({"number": numbers}), b"doubled" if batch.num_rows > 1 else b"")
                if descriptor.command == b"boom midway":
                    raise ValueError(SECRET)
            yield Message(None, b"that was all")

        return Answer(schema, doubled())

    async def _caller(self) -> tuple[str, str]:
        await asyncio.sleep(0)
        return current_principal().subject, current_trace_id()

    def _failing(self) -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches()
        raise ValueError(SECRET)


class SmallBatches(ServiceSettings):
    """A limit on batches that a test can reach."""

    max_message_bytes: int = 64 * 1024
    unix_path: str = ""


@pytest.fixture
async def numbers(start_service: StartService, tmp_path: Path) -> Service:
    """A service with the Flight edge above, over TCP and over a Unix socket."""

    async def build(settings: SmallBatches) -> Service:
        service = Service("numbers", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        service.add_flight(Numbers, unix_path=settings.unix_path)
        return service

    socket = str(tmp_path / "sockets" / "flight.sock")
    return await start_service(build, SmallBatches, database_url="", redis_url="", unix_path=socket)


@pytest.fixture
def client(numbers: Service) -> Iterator[flight.FlightClient]:
    with flight.FlightClient(f"grpc://127.0.0.1:{numbers.flight_port}") as client:
        yield client


@pytest.fixture
def options(token_for: TokenFor) -> Callable[..., flight.FlightCallOptions]:
    def make(*roles: Role, subject: str = "tester", headers: Iterable[tuple[bytes, bytes]] = ()) -> Any:
        token = token_for(*(roles or (Role.ADMIN,)), subject=subject).encode()
        return flight.FlightCallOptions(timeout=20, headers=[(b"authorization", b"Bearer " + token), *headers])

    return make


Options = Callable[..., flight.FlightCallOptions]


async def refused(work: Callable[[], Any]) -> HeadwaterError:
    """The error of ours that ``work`` is refused with; nothing secret may be in it."""

    def attempt() -> HeadwaterError:
        with pytest.raises(flight.FlightError) as caught:
            work()
        text = str(caught.value)
        assert not any(word in text for word in (*SECRET.split(), "Traceback", ".py")), text
        error = from_bytes(caught.value.extra_info)
        assert error is not None, text
        assert len(error.trace_id) == 32
        return error

    return await asyncio.to_thread(attempt)


def ticket_of(client: flight.FlightClient, command: bytes, options: flight.FlightCallOptions) -> flight.Ticket:
    return client.get_flight_info(flight.FlightDescriptor.for_command(command), options).endpoints[0].ticket


def put(client: flight.FlightClient, command: bytes, table: pa.Table, options: flight.FlightCallOptions) -> bytes:
    writer, reader = client.do_put(flight.FlightDescriptor.for_command(command), table.schema, options)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        answer = reader.read()
        return b"" if answer is None else answer.to_pybytes()


def every_method(client: flight.FlightClient, options: flight.FlightCallOptions | None) -> dict[str, Callable[[], Any]]:
    descriptor = flight.FlightDescriptor.for_command(b"x")

    def exchange() -> None:
        writer, reader = client.do_exchange(descriptor, options)
        with writer:
            writer.begin(TABLE.schema)
            reader.read_chunk()

    return {
        "get_flight_info": lambda: client.get_flight_info(descriptor, options),
        "do_get": lambda: client.do_get(flight.Ticket(b"x"), options).read_all(),
        "do_put": lambda: put(client, b"x", TABLE, options),
        "do_exchange": exchange,
        "list_flights": lambda: list(client.list_flights(b"", options)),
        "list_actions": lambda: list(client.list_actions(options)),
        "do_action": lambda: list(client.do_action(("x", b""), options)),
    }


async def test_every_method_is_refused_without_a_token_and_with_a_bad_one(
    client: flight.FlightClient, authenticator: Authenticator
) -> None:
    for name, method in every_method(client, None).items():
        assert (await refused(method)).code is Code.UNAUTHENTICATED, name
    with pytest.raises(OSError, match=r"^UNAUTHENTICATED"):  # pyarrow's client drops the details of this one
        await asyncio.to_thread(client.get_schema, flight.FlightDescriptor.for_command(b"x"))
    tokens = await asyncio.to_thread(bad_tokens, authenticator)
    del tokens["20 KiB"]  # the limit on metadata refuses that
    for kind, token in tokens.items():
        options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])
        method = every_method(client, options)["get_flight_info"]
        assert (await refused(method)).code is Code.UNAUTHENTICATED, kind


async def test_a_method_without_a_role_is_refused_to_an_administrator_too(
    client: flight.FlightClient, options: Options
) -> None:
    assert (await refused(every_method(client, options())["do_action"])).code is Code.PERMISSION_DENIED


async def test_a_reader_may_get_and_not_put(client: flight.FlightClient, options: Options) -> None:
    reader = options(Role.READER)

    def get() -> pa.Table:
        return client.do_get(ticket_of(client, b"all", reader), reader).read_all()

    assert (await asyncio.to_thread(get)).equals(TABLE)
    error = await refused(lambda: put(client, b"x", TABLE, reader))
    assert error.code is Code.PERMISSION_DENIED
    assert error.metadata == {"role": "writer"}


async def test_rows_that_are_put_arrive_and_the_result_comes_back(
    client: flight.FlightClient, options: Options
) -> None:
    assert await asyncio.to_thread(put, client, b"x", TABLE, options()) == b"1000"


async def test_the_unix_socket_serves_the_same_to_its_own_user(
    numbers: Service, options: Options, tmp_path: Path
) -> None:
    path = tmp_path / "sockets" / "flight.sock"

    def get() -> pa.Table:
        with flight.FlightClient(f"grpc+unix://{path}") as client:
            return client.do_get(ticket_of(client, b"all", options()), options()).read_all()

    assert (await asyncio.to_thread(get)).equals(TABLE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def exchange(
    client: flight.FlightClient, command: bytes, table: pa.Table, options: flight.FlightCallOptions
) -> list[tuple[Any, bytes]]:
    """What comes back for the table's batches, each with its metadata."""
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(command), options)
    with writer:
        writer.begin(table.schema)
        writer.write_table(table, max_chunksize=600)
        writer.done_writing()
        chunks = []
        with contextlib.suppress(StopIteration):
            while True:
                chunks.append(reader.read_chunk())
        return [
            (chunk.data and chunk.data.column("number").to_pylist(), bytes(chunk.app_metadata or b""))
            for chunk in chunks
        ]


async def test_an_exchange_answers_batches_and_metadata_as_they_come(
    client: flight.FlightClient, options: Options
) -> None:
    answers = await asyncio.to_thread(exchange, client, b"x", TABLE, options())
    doubled = [2 * number for number in range(1000)]
    assert answers == [(doubled[:600], b"doubled"), (doubled[600:], b"doubled"), (None, b"that was all")]


async def test_an_exchange_that_fails_tells_no_secret(client: flight.FlightClient, options: Options) -> None:
    for command in (b"boom", b"boom midway"):
        error = await refused(functools.partial(exchange, client, command, TABLE, options()))
        assert error.code is Code.INTERNAL
    large = pa.table({"number": pa.array(range(20_000), pa.int64())})

    def send_too_much() -> None:
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"x"), options())
        with writer:
            writer.begin(large.schema)
            writer.write_table(large)
            writer.done_writing()
            reader.read_all()

    assert (await refused(send_too_much)).reason == "BATCH_TOO_LARGE"


class Doing(Numbers):
    """With an action."""

    roles: ClassVar[Mapping[str, Role]] = {"do_action": Role.READER}
    actions: ClassVar[Mapping[str, str]] = {"whereabouts": "Tells whether the caller is near."}

    def action(self, call: FlightCall, name: str, body: bytes) -> Iterable[bytes]:
        yield body
        if body == b"boom":
            raise ValueError(SECRET)
        yield str(call.is_local).encode()


async def test_actions_are_advertised_and_no_others_are_done(
    start_service: StartService, options: Options, tmp_path: Path
) -> None:
    async def build(settings: SmallBatches) -> Service:
        service = Service("doing", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        service.add_flight(Doing, unix_path=settings.unix_path)
        return service

    socket = str(tmp_path / "doing.sock")
    service = await start_service(build, SmallBatches, database_url="", redis_url="", unix_path=socket)

    def do(place: str) -> list[bytes]:
        with flight.FlightClient(place) as client:
            listed = [(kind.type, kind.description) for kind in client.list_actions(options())]
            assert listed == [("whereabouts", "Tells whether the caller is near.")]
            return [bytes(result.body) for result in client.do_action(("whereabouts", b"body"), options())]

    for place in (f"grpc://127.0.0.1:{service.flight_port}", f"grpc+unix://{socket}"):
        assert await asyncio.to_thread(do, place) == [b"body", b"True"]
    with flight.FlightClient(f"grpc+unix://{socket}") as client:
        error = await refused(lambda: list(client.do_action(("wherever", b""), options())))
        assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "UNKNOWN_ACTION")
        error = await refused(lambda: list(client.do_action(("whereabouts", b"boom"), options())))
        assert error.reason == "INTERNAL"


async def test_the_caller_and_the_trace_reach_the_event_loop(client: flight.FlightClient, options: Options) -> None:
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    mine = options(Role.READER, subject="ada", headers=[(b"traceparent", trace)])

    def get() -> pa.Table:
        return client.do_get(ticket_of(client, b"caller", mine), mine).read_all()

    answer = (await asyncio.to_thread(get)).to_pylist()[0]
    assert answer == {"subject": "ada", "trace": "0af7651916cd43dd8448eb211c80319c"}


async def test_an_error_of_the_domain_arrives_with_its_code_and_reason(
    client: flight.FlightClient, options: Options
) -> None:
    error = await refused(lambda: ticket_of(client, b"missing", options()))
    assert isinstance(error, NotFound)
    assert (error.reason, error.metadata) == ("ROWS_NOT_FOUND", {"dataset": "digits"})


async def test_an_unexpected_exception_tells_a_trace_id_and_nothing_else(
    client: flight.FlightClient, options: Options
) -> None:
    def get(command: bytes) -> Callable[[], Any]:
        return lambda: client.do_get(ticket_of(client, command, options()), options()).read_all()

    attempts: list[Callable[[], Any]] = [
        lambda: ticket_of(client, b"boom", options()),
        lambda: list(client.list_flights(b"boom", options())),
        lambda: put(client, b"boom", TABLE, options()),
        get(b"boom midway"),
        get(b"unguarded"),
    ]
    for attempt in attempts:
        assert (await refused(attempt)).reason == "INTERNAL"


async def test_a_schema_is_that_of_what_is_described(client: flight.FlightClient, options: Options) -> None:
    found = await asyncio.to_thread(client.get_schema, flight.FlightDescriptor.for_command(b"x"), options())
    assert found.schema == TABLE.schema


@pytest.mark.parametrize(
    ("command", "raised", "said"),
    [
        (b"missing", pa.ArrowKeyError, "ROWS_NOT_FOUND: Not found. (dataset=digits)"),
        (b"boom", pa.ArrowException, "INTERNAL: "),
    ],
)
async def test_a_schema_is_refused_without_the_stack_that_arrow_would_send(
    client: flight.FlightClient, options: Options, command: bytes, raised: type[Exception], said: str
) -> None:
    """Promise 16, for the one method that Arrow lets tell nothing but a text and three codes."""
    with pytest.raises(raised) as caught:
        await asyncio.to_thread(client.get_schema, flight.FlightDescriptor.for_command(command), options())
    text = str(caught.value)
    assert said in text
    assert re.search(r"\[trace [0-9a-f]{32}\]", text)
    assert not any(word in text for word in (*SECRET.split(), "Traceback", ".py", "pyarrow")), text


@pytest.mark.parametrize("method", ["PollFlightInfo", "Handshake"])
async def test_what_only_other_clients_call_is_refused_in_our_words(
    numbers: Service, token_for: TokenFor, method: str
) -> None:
    """Promise 16: pyarrow's client has no way to call these."""

    def call(*headers: tuple[str, str]) -> HeadwaterError:
        with grpc.insecure_channel(f"127.0.0.1:{numbers.flight_port}") as channel:
            calls: Any = channel.stream_stream(f"/arrow.flight.protocol.FlightService/{method}")
            answers = calls(iter([b""]), metadata=headers, timeout=20)
            with pytest.raises(grpc.RpcError):
                list(answers)
        error = from_bytes(dict(answers.trailing_metadata())["grpc-status-details-bin"])
        assert error is not None
        return error

    assert (await asyncio.to_thread(call)).code is Code.UNAUTHENTICATED
    error = await asyncio.to_thread(call, ("authorization", f"Bearer {token_for(Role.READER)}"))
    assert (error.code, error.reason) == (Code.UNIMPLEMENTED, "UNIMPLEMENTED")


@pytest.mark.parametrize(
    "method",
    ["GetFlightInfo", "GetSchema", "DoGet", "DoPut", "DoExchange", "ListFlights", "ListActions", "DoAction", "Nothing"],
)
async def test_requests_that_no_client_sends_tell_nothing_of_the_inside(
    numbers: Service, token_for: TokenFor, method: str
) -> None:
    """Promise 16: whoever refuses them, Arrow or a hook, says so in a short sentence."""
    malformed = {
        "no protobuf": b"\xff" * 6,
        "an unknown kind of descriptor": b"\x08\x4d",
        "a path that is no text": b"\x08\x01\x1a\x02\xff\xfe",
        "an action that is no text": b"\x0a\x02\xff\xfe",
        "data without a descriptor": b"\x12\x08\x00\x00\x00\x01\x00\x00\x00\x01",
        "a schema that is none": b"\x0a\x02\x08\x02\x12\x08\x00\x00\x00\x01\x00\x00\x00\x01",
    }

    def told(request: bytes) -> tuple[bool, str]:
        """Whether it was refused, and all that was said."""
        with grpc.insecure_channel(f"127.0.0.1:{numbers.flight_port}") as channel:
            calls: Any = channel.stream_stream(f"/arrow.flight.protocol.FlightService/{method}")
            headers = [("authorization", f"Bearer {token_for(Role.ADMIN)}")]
            answers = calls(iter([request]), metadata=headers, timeout=20)
            try:
                return False, repr(list(answers))
            except grpc.RpcError:
                return True, f"{answers.code()} {answers.details()} {answers.trailing_metadata()}"

    refusals = 0
    for kind, request in malformed.items():
        is_refused, said = await asyncio.to_thread(told, request)
        refusals += is_refused
        inside = (*SECRET.split(), "Traceback", ".py", "pyarrow", "DEADLINE", "UNAUTHENTICATED")
        assert not any(word in said for word in inside), f"{kind}: {said}"
        assert len(said) < 1000, f"{kind}: {said}"
    assert refusals >= 1


async def test_tickets_that_are_random_changed_foreign_expired_or_huge_are_refused(
    client: flight.FlightClient, options: Options
) -> None:
    mine, another = options(Role.READER, subject="ada"), options(Role.READER, subject="bob")
    good = (await asyncio.to_thread(ticket_of, client, b"all", mine)).ticket

    def redeem(ticket: bytes, who: flight.FlightCallOptions = mine) -> Callable[[], Any]:
        return lambda: client.do_get(flight.Ticket(ticket), who).read_all()

    changed = bytearray(good)
    changed[-40] ^= 1
    for ticket in (
        b"",
        os.urandom(200),
        bytes(changed),
        good[:-1],
        good + b"x",
        bytes(MAX_TICKET_BYTES + 1),
        bytes(2**20),
    ):
        assert (await refused(redeem(ticket))).reason == "INVALID_TICKET"
    assert (await refused(redeem(good, another))).reason == "FOREIGN_TICKET"
    await asyncio.to_thread(redeem(good))
    await asyncio.sleep(1.1)
    assert (await refused(redeem(good))).reason == "EXPIRED_TICKET"


async def test_a_batch_over_the_limit_is_refused(client: flight.FlightClient, options: Options) -> None:
    large = pa.table({"number": pa.array(range(20_000), pa.int64())})
    error = await refused(lambda: put(client, b"x", large, options()))
    assert error.reason == "BATCH_TOO_LARGE"


async def test_metadata_arrives_with_its_rows_alone_or_not_at_all(
    client: flight.FlightClient, options: Options
) -> None:
    def story() -> bytes:
        batch = TABLE.to_batches()[0].slice(0, 3)
        descriptor = flight.FlightDescriptor.for_command(b"messages")
        writer, answers = client.do_put(descriptor, TABLE.schema, options())
        with writer:
            writer.write_with_metadata(batch, b"with rows")
            writer.write_metadata(b"alone")
            writer.write_batch(batch)
            writer.done_writing()
            return bytes(answers.read())

    assert await asyncio.to_thread(story) == repr([(3, b"with rows"), (None, b"alone"), (3, b"")]).encode()


async def test_metadata_over_the_limit_is_refused(client: flight.FlightClient, options: Options) -> None:
    def put_much() -> None:
        descriptor = flight.FlightDescriptor.for_command(b"x")
        writer, answers = client.do_put(descriptor, TABLE.schema, options())
        with writer:
            writer.write_metadata(b"m" * (METADATA_MAX_BYTES + 1))
            writer.done_writing()
            answers.read()

    assert (await refused(put_much)).reason == "METADATA_TOO_LARGE"


async def test_buffers_that_contradict_their_type_are_refused(client: flight.FlightClient, options: Options) -> None:
    offsets = pa.array([0, 1_000_000_000, 3], pa.int32()).buffers()[1]
    lying = pa.Array.from_buffers(pa.utf8(), 2, [None, offsets, pa.py_buffer(b"abc")])
    not_text = pa.Array.from_buffers(
        pa.utf8(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xc3\x28")]
    )
    for column in (lying, not_text):
        table = pa.Table.from_batches([pa.record_batch({"text": column})])
        assert (await refused(functools.partial(put, client, b"x", table, options()))).reason == "MALFORMED_STREAM"


async def test_a_stream_that_is_cut_leaves_the_server_serving(
    numbers: Service, client: flight.FlightClient, options: Options
) -> None:
    def cut() -> None:
        with flight.FlightClient(f"grpc://127.0.0.1:{numbers.flight_port}") as broken:
            writer, _ = broken.do_put(flight.FlightDescriptor.for_command(b"x"), TABLE.schema, options())
            writer.write_table(TABLE)

    await asyncio.to_thread(cut)
    assert await asyncio.to_thread(put, client, b"x", TABLE, options()) == b"1000"


async def test_a_subclass_cannot_go_around_the_guard() -> None:
    with pytest.raises(TypeError, match="do_get"):
        type("Careless", (FlightEdge,), {"do_get": lambda self, context, ticket: None})


async def test_a_reader_that_stops_reading_does_not_hold_up_the_end(
    start_service: StartService, options: Options
) -> None:
    big = pa.table({"number": pa.array(range(4_000_000), pa.int64())})

    class Big(Numbers):
        def get(self, call: FlightCall, payload: bytes) -> flight.FlightDataStream:
            return flight.RecordBatchStream(big)

    async def build(settings: SmallBatches) -> Service:
        service = Service("big", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        service.add_flight(Big)
        return service

    service = await start_service(build, SmallBatches, database_url="", redis_url="", grace_s=0.5)
    client = flight.FlightClient(f"grpc://127.0.0.1:{service.flight_port}")

    def stall() -> flight.FlightStreamReader:
        reader = client.do_get(ticket_of(client, b"all", options()), options())
        reader.read_chunk()
        return reader

    reader = await asyncio.to_thread(stall)
    begun = time.monotonic()
    await service.stop()
    assert time.monotonic() - begun < 3
    await asyncio.to_thread(reader.cancel)
    await asyncio.to_thread(client.close)

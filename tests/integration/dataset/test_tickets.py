"""Tickets: only those that GetFlightInfo gave to this caller, unchanged and in time, open anything (promise 14)."""

import asyncio
import os
import time
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService, TokenFor
from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError, Unauthenticated
from headwater.flight import flight_errors
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo


def ticket_of(connection: Connection) -> flight.Ticket:
    table = pa.table({"a": [1, 2, 3]})
    version = datasets.push(connection, "d", datasets.Tables({"train": table})).version.name
    command = flight_pb2.GetCommand(version=version, split="train").SerializeToString()
    descriptor = flight.FlightDescriptor.for_command(command)
    info = connection.flight().get_flight_info(descriptor, connection.flight_options())
    return info.endpoints[0].ticket


def redeem(connection: Connection, ticket: bytes) -> pa.Table:
    with flight_errors():
        return connection.flight().do_get(flight.Ticket(ticket), connection.flight_options()).read_all()


def refusal_of(connection: Connection, ticket: bytes) -> str:
    with pytest.raises(HeadwaterError) as refusal:
        redeem(connection, ticket)
    return refusal.value.reason


async def test_a_ticket_opens_what_it_was_given_for(connection: Connection) -> None:
    def story() -> None:
        assert redeem(connection, ticket_of(connection).ticket).num_rows == 3

    await asyncio.to_thread(story)


async def test_random_changed_and_huge_tickets_are_refused(connection: Connection) -> None:
    def story() -> None:
        good = ticket_of(connection).ticket
        changed = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(0, len(good), 7)]
        payload = flight_pb2.TicketPayload(version="projects/default/datasets/d/versions/v1.0.0", split="train")
        for ticket in (b"", os.urandom(200), good[:-1], good + b"\0", payload.SerializeToString(), *changed):
            assert refusal_of(connection, ticket) == "INVALID_TICKET"
        assert refusal_of(connection, os.urandom(1 << 20)) == "INVALID_TICKET"

    await asyncio.to_thread(story)


async def test_a_ticket_of_somebody_else_is_refused(service: Service, connection_to: ConnectTo) -> None:
    ann, bob = connection_to(service, subject="ann"), connection_to(service, Role.ADMIN, subject="bob")
    ticket = (await asyncio.to_thread(ticket_of, ann)).ticket
    assert await asyncio.to_thread(refusal_of, bob, ticket) == "FOREIGN_TICKET"
    assert (await asyncio.to_thread(redeem, ann, ticket)).num_rows == 3


async def test_an_expired_ticket_is_refused(start_service: StartService, connection_to: ConnectTo) -> None:
    connection = connection_to(await start_service(build, Settings, flight_port=0, ticket_ttl_s=0.001))

    def story() -> None:
        assert refusal_of(connection, ticket_of(connection).ticket) == "EXPIRED_TICKET"

    await asyncio.to_thread(story)


async def test_without_credentials_or_with_foreign_or_expired_ones_nothing_answers(
    service: Service, token_for: TokenFor
) -> None:
    endpoints = Endpoints(dataset=service.address, dataset_flight=f"127.0.0.1:{service.flight_port}")
    descriptor = flight.FlightDescriptor.for_command(b"")

    calls: list[Callable[[flight.FlightClient, flight.FlightCallOptions], object]] = [
        lambda client, options: client.get_flight_info(descriptor, options),
        lambda client, options: client.get_schema(descriptor, options),
        lambda client, options: list(client.list_flights(b"", options)),
        lambda client, options: client.do_get(flight.Ticket(b"x"), options).read_all(),
        lambda client, options: client.do_put(descriptor, pa.schema([("a", pa.int64())]), options)[1].read(),
        lambda client, options: list(client.do_action(flight.Action("x", b""), options)),
        lambda client, options: list(client.list_actions(options)),
    ]

    def attempt(connection: Connection, call: Callable[..., object]) -> None:
        with flight_errors():
            call(connection.flight(), connection.flight_options())

    def story() -> None:
        expired = token_for(Role.ADMIN, ttl_s=1)
        time.sleep(1.1)
        for token in ("", "garbage", expired, token_for(Role.ADMIN)[:-5] + "xxxxx"):
            with Connection(endpoints, token) as stranger:
                for call in calls:
                    with pytest.raises(Unauthenticated):
                        attempt(stranger, call)

    await asyncio.to_thread(story)


DESCRIPTORS = [
    (flight.FlightDescriptor.for_command(b"\xff\xff"), "MALFORMED_MESSAGE"),
    (flight.FlightDescriptor.for_command(b""), "INVALID_FIELDS"),
    (flight.FlightDescriptor.for_path("projects"), "UNKNOWN_FLIGHT_COMMAND"),
    (
        flight.FlightDescriptor.for_path("projects", "..", "datasets", "d", "versions", "v1.0.0", "a"),
        "INVALID_NAME",
    ),
    (flight.FlightDescriptor.for_path("projects/default/datasets/d/versions/v1.0.0", "../a"), "INVALID_NAME"),
]


async def test_descriptors_of_nothing_are_refused(connection: Connection) -> None:
    def story() -> None:
        for descriptor, reason in DESCRIPTORS:
            with pytest.raises(HeadwaterError) as refusal, flight_errors():
                connection.flight().get_flight_info(descriptor, connection.flight_options())
            assert refusal.value.reason == reason

    await asyncio.to_thread(story)

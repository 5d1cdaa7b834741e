"""A running dataset service and connections to it."""

from collections.abc import Callable, Iterator

import pytest
import pytest_asyncio

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService, TokenFor
from headwater.client import Connection, Endpoints
from services.dataset.__main__ import build
from services.dataset.settings import Settings

ConnectTo = Callable[..., Connection]


@pytest_asyncio.fixture
async def service(start_service: StartService) -> Service:
    """The dataset service, whose packs are small so that small data makes several."""
    return await start_service(build, Settings, flight_port=0, pack_max_bytes=4 << 20)


@pytest.fixture
def connection_to(token_for: TokenFor) -> Iterator[Callable[..., Connection]]:
    """A function that connects to a dataset service in the given roles; closed after the test."""
    opened = []

    def connect(service: Service, *roles: Role, subject: str = "tester") -> Connection:
        endpoints = Endpoints(dataset=service.address, dataset_flight=f"127.0.0.1:{service.flight_port}")
        opened.append(Connection(endpoints, token_for(*(roles or (Role.WRITER,)), subject=subject)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(service: Service, connection_to: ConnectTo) -> Connection:
    """A writer's connection to the service."""
    return connection_to(service)

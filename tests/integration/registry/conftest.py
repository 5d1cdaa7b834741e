"""A registry as it runs in production, and clients of it."""

from collections.abc import Callable

import pytest
import pytest_asyncio

from chassis import Service
from chassis.auth import Role
from chassis.testing import Connect, StartService
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.integration.registry.client import Client


@pytest_asyncio.fixture
async def registry(start_service: StartService) -> Service:
    """A running registry that takes artifacts of a mebibyte and waits a moment for the next message."""
    return await start_service(
        build, Settings, redis_url="", max_artifact_bytes=2**20, upload_idle_s=0.3, log_level="ERROR"
    )


@pytest.fixture
def client_of(connect: Connect) -> Callable[..., Client]:
    """``client_of(service, Role.READER)``: stubs in those roles, an administrator's if none is given."""

    def client(service: Service, *roles: Role) -> Client:
        return Client.on(connect(service.address, *roles))

    return client


@pytest.fixture
def client(registry: Service, client_of: Callable[..., Client]) -> Client:
    """An administrator's stubs for the registry."""
    return client_of(registry)

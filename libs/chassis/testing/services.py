"""Services started as they are in production, in the test's own process and on ports of their own."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc.aio
import pytest
import pytest_asyncio
import structlog

from chassis.auth import Authenticator, Role
from chassis.rpc.client import channel
from chassis.service import Service
from chassis.settings import ENV_PREFIX, ServiceSettings
from chassis.testing.databases import OwnDatabase

Settings = TypeVar("Settings", bound=ServiceSettings)


class TokenFor(Protocol):
    """``token_for(Role.READER)``: a bearer token."""

    def __call__(self, *roles: Role, subject: str = "tester", ttl_s: float = 3600) -> str: ...


class StartService(Protocol):
    """``await start_service(build, Settings, **overrides)``: a running service."""

    async def __call__(
        self, build: Callable[[Settings], Awaitable[Service]], settings: type[Settings], **overrides: Any
    ) -> Service: ...


class Connect(Protocol):
    """``connect(service.address, Role.READER)``: a channel that raises HeadwaterError."""

    def __call__(self, address: str, *roles: Role) -> grpc.aio.Channel: ...


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> Iterator[None]:
    """No setting of the person who runs the tests reaches a service in them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True, scope="session")
def plain_tracebacks() -> None:
    """Errors that tests provoke are logged at once; structlog's own way, with all variables, takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


@pytest.fixture
def blobs_dir(tmp_path: Path) -> Path:
    """An empty directory for blobs."""
    directory = tmp_path / "blobs"
    directory.mkdir()
    return directory


@pytest.fixture
def auth_key_file(tmp_path: Path) -> Path:
    """The key with which this test's services sign and check tokens."""
    file = tmp_path / "auth.key"
    file.touch(mode=0o600)
    file.write_text(secrets.token_hex(32))
    return file


@pytest.fixture
def authenticator(auth_key_file: Path) -> Authenticator:
    """The Authenticator of this test's services."""
    return Authenticator.from_key_file(auth_key_file)


@pytest.fixture
def token_for(authenticator: Authenticator) -> TokenFor:
    """A function that makes bearer tokens; with no role, for one who may do nothing."""

    def mint(*roles: Role, subject: str = "tester", ttl_s: float = 3600) -> str:
        return authenticator.mint(subject, roles, ttl_s)

    return mint


@pytest_asyncio.fixture
async def start_service(
    request: pytest.FixtureRequest, own_database: OwnDatabase, auth_key_file: Path, blobs_dir: Path
) -> AsyncIterator[StartService]:
    """A function that starts services with authentication on, all ports free ones, and the test's own storage.

    All services of one test share its database, Valkey and blobs, as an installation does. An override that is given
    takes the place of that default, so that ``database_url=""`` starts no PostgreSQL. Services stop after the test, the
    last one first.
    """
    async with contextlib.AsyncExitStack() as running:

        async def start(
            build: Callable[[Settings], Awaitable[Service]], settings: type[Settings], **overrides: Any
        ) -> Service:
            values: dict[str, Any] = {"port": 0, "admin_port": 0, "auth_key_file": str(auth_key_file), **overrides}
            values.setdefault("blobs_url", blobs_dir.as_uri())
            for port in {"http_port", "flight_port"}.intersection(settings.model_fields):
                values.setdefault(port, 0)
            if "database_url" not in values:
                values["database_url"] = own_database.url
            if "redis_url" not in values:
                values["redis_url"] = request.getfixturevalue("redis_url")
            service = await build(settings(**values))
            running.push_async_callback(service.stop)
            await service.start()
            return service

        yield start


@pytest_asyncio.fixture
async def connect(token_for: TokenFor) -> AsyncIterator[Connect]:
    """A function that opens channels in the given roles (administrator if none is given); closed after the test."""
    channels: list[grpc.aio.Channel] = []

    def open_channel(address: str, *roles: Role) -> grpc.aio.Channel:
        token = token_for(*(roles or (Role.ADMIN,)))
        opened = channel(address, token=lambda: token, settings=ServiceSettings())
        channels.append(opened)
        return opened

    yield open_channel
    for opened in channels:
        await opened.close()

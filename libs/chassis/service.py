"""One service process."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from starlette.types import ASGIApp

from chassis.auth import Authenticator, Role
from chassis.flight import FlightEdge, FlightWiring
from chassis.settings import ServiceSettings


class Service:
    """Skeleton: the signatures are final."""

    def __init__(self, name: str, settings: ServiceSettings, *, auth: Authenticator) -> None:
        self.name = name
        self.settings = settings
        self.auth = auth

    def add_servicer(
        self,
        add_to_server: Callable[[Any, Any], None],
        servicer: object,
        descriptor: ServiceDescriptor,
        *,
        roles: Mapping[str, Role] | None = None,
    ) -> None: ...
    def add_flight(
        self, factory: Callable[[FlightWiring], FlightEdge], *, port: int = 0, unix_path: str = ""
    ) -> None: ...
    def add_http(self, app: ASGIApp, port: int, *, public: tuple[str, ...] = (), login_path: str = "") -> None: ...
    def add_check(self, name: str, check: Callable[[], Awaitable[None]]) -> None: ...
    def add_preparation(self, name: str, run: Callable[[], Awaitable[None]]) -> None: ...
    def add_background(self, name: str, run: Callable[[], Awaitable[None]]) -> None: ...
    def on_close(self, close: Callable[[], Awaitable[None]]) -> None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def run_until_signal(self) -> None: ...
    @property
    def address(self) -> str: ...  # type: ignore[empty-body]
    @property
    def port(self) -> int: ...  # type: ignore[empty-body]
    @property
    def admin_port(self) -> int: ...  # type: ignore[empty-body]
    @property
    def flight_port(self) -> int: ...  # type: ignore[empty-body]
    @property
    def http_port(self) -> int: ...  # type: ignore[empty-body]

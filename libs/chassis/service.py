"""One service process: gRPC, health, reflection, admin HTTP and, where wanted, Arrow Flight and public HTTP.

    async def build(settings: Settings) -> Service:
        auth = Authenticator.from_settings(settings.auth_key_file)
        database = Database(settings.database_url, "registry", settings.database_pool_size)
        service = Service("registry", settings, auth=auth)
        service.add_preparation("migrations", lambda: migrate(settings.database_url, "registry", MIGRATIONS))
        service.add_check("postgresql", database.check)
        service.add_servicer(
            models_pb2_grpc.add_ModelServiceServicer_to_server,
            ModelServicer(Models(PostgresStore(database))),
            models_pb2.DESCRIPTOR.services_by_name["ModelService"],
        )
        service.on_close(database.close)
        return service

    if __name__ == "__main__":
        run(build, Settings)

Who may call a method is written beside it in the proto: ``option (headwater.auth.v1.role) = ROLE_WRITER;``. A
servicer raises the errors of its domain; the edges turn them into statuses. It finds its caller with
``chassis.auth.current_principal()``.
"""

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import ASGIApp

from chassis.auth import Authenticator, Role
from chassis.background import Background
from chassis.errors import StartupError
from chassis.flight import FlightEdge, FlightWiring
from chassis.http.admin import admin_app
from chassis.http.auth import AuthMiddleware, HttpScheme
from chassis.http.errors import HttpEdge, Tell, error_response
from chassis.http.server import HttpServer
from chassis.readiness import Readiness
from chassis.rpc.codec import Codec
from chassis.rpc.interceptors import Interceptors
from chassis.rpc.server import RpcServer
from chassis.settings import ServiceSettings
from chassis.sockets import bind, prepare_unix
from chassis.telemetry import Metrics, Tracing

Work = Callable[[], Awaitable[None]]
FlightFactory = Callable[[FlightWiring], FlightEdge]

_log = structlog.get_logger("chassis.service")


class Service:
    """Wire it with the ``add_…`` methods, then ``start`` it; everything listens on ``settings.host``."""

    def __init__(self, name: str, settings: ServiceSettings, *, auth: Authenticator) -> None:
        """Open nothing yet.

        Raises:
            StartupError: authentication is off and ``settings.host`` can be reached from other machines.
        """
        if not auth.enabled and not settings.loopback:
            raise StartupError(
                f"{name} will not listen on {settings.host} while authentication is off: "
                "set HEADWATER_AUTH_KEY_FILE to a key file, or HEADWATER_HOST to 127.0.0.1."
            )
        self.name = name
        self.settings = settings
        self.auth = auth
        self.metrics = Metrics()
        self.tracing = Tracing.exporting(name, settings.otlp_endpoint, settings.trace_ratio)
        self.draining = asyncio.Event()
        """Set when the service begins to drain: a stream without an end may end itself then."""
        self._interceptors = Interceptors(auth, self.tracing, settings.max_concurrent_calls)
        self._rpc = RpcServer(settings, self._interceptors, self.metrics)
        self._readiness = Readiness(settings.check_interval_s)
        self._background = Background()
        self._flight_factories: list[tuple[FlightFactory, int, str]] = []
        self._flights: list[FlightEdge] = []
        self._public: tuple[ASGIApp, int, bool] | None = None
        self._https: list[HttpServer] = []
        self._closers: list[Work] = []
        self._upkeep: list[asyncio.Task[None]] = []
        self._stopped = False

    def trace_with(self, provider: TracerProvider) -> None:
        """Record every call that its caller has not decided about with ``provider``; for tests and for embedding."""
        self.tracing.record(provider)

    def add_servicer(
        self,
        add_to_server: Callable[[Any, Any], None],
        servicer: object,
        descriptor: ServiceDescriptor,
        *,
        roles: Mapping[str, Role] | None = None,
        codecs: Mapping[str, Codec] | None = None,
    ) -> None:
        """Answer the methods of ``descriptor`` with ``servicer``.

        ``roles`` are for protos that are not ours (KServe): ``{"ModelInfer": Role.READER}``. A method that the servicer
        inherits from the generated base class is answered with UNIMPLEMENTED. ``codecs``, by method, read and write its
        messages in the place of protobuf.

        Raises:
            StartupError: a method has no role, or is not an ``async def``.
        """
        self._rpc.add(add_to_server, servicer, descriptor, roles or {}, codecs)

    def add_flight(self, factory: FlightFactory, *, port: int = 0, unix_path: str = "") -> None:
        """Serve Arrow Flight on ``port`` and, with ``unix_path``, on that Unix socket too, with an edge of its own.

        Only processes of the same user can connect to the socket. Its path is the setting ``flight_socket``.
        """
        self._flight_factories.append((factory, port, unix_path))

    def add_http(
        self,
        app: ASGIApp,
        port: int,
        *,
        public: Sequence[str] = (),
        login_path: str = "",
        schemes: Sequence[HttpScheme] = (),
        tell: Tell = error_response,
        cancels: bool = False,
    ) -> None:
        """Serve ``app`` over HTTP; see ``chassis.http.auth`` for who gets through to it.

        ``tell`` makes the answers that tell of errors; with ``cancels`` a request whose client goes away is cancelled.
        """
        guarded = AuthMiddleware(app, self.auth, public=public, login_path=login_path, schemes=schemes, tell=tell)
        self._public = HttpEdge(guarded, self.name, self.tracing, self.metrics, app, tell), port, cancels

    def add_check(self, name: str, check: Work) -> None:
        """The service is ready only while ``check`` returns; it raises when the dependency ``name`` is away."""
        self._readiness.add_check(name, check)

    def add_preparation(self, name: str, run: Work) -> None:
        """``run`` must succeed once (migrations, say) before calls are let in; it is tried again until it does."""
        self._readiness.add_preparation(name, run)

    def add_background(self, name: str, run: Work) -> None:
        """``run`` runs while the service does: again after a pause when it raises, cancelled after the drain."""
        self._background.add(name, run)

    def on_close(self, close: Work) -> None:
        """``close`` is called at the very end, those added last first."""
        self._closers.append(close)

    @property
    def address(self) -> str:
        """Where gRPC is answered, as ``host:port``."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.settings.host, self.settings.host)  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def port(self) -> int:
        """The gRPC port."""
        return self._rpc.port

    @property
    def admin_port(self) -> int:
        """The port of the admin HTTP."""
        return self._https[0].port

    @property
    def flight_port(self) -> int:
        """The Arrow Flight port."""
        return int(self._flights[0].port)

    @property
    def http_port(self) -> int:
        """The port of the public HTTP application."""
        return self._https[1].port

    @property
    def methods(self) -> Mapping[str, Role | None]:
        """Every gRPC method by its path with the role that it needs; None: public."""
        return self._rpc.methods

    @property
    def ready(self) -> bool:
        """Whether calls will be answered well."""
        return self._readiness.ready

    async def start(self) -> None:
        """Listen. When this returns the preparations and checks have been tried once, and calls are answered.

        Raises:
            PortInUse: with the setting to change.
        """
        await self._rpc.start()
        await self._start_http()
        self._start_flight()
        self._rpc.health.serve(self._rpc.service_names)
        prepared = await self._readiness.prepare_once()
        await self._readiness.check_once()
        await self._tell_readiness()
        self._background.start()
        upkeep = [self._readiness.keep_checking(), self._follow_readiness()]
        if not prepared:
            upkeep.append(self._readiness.keep_preparing())
        self._upkeep = [asyncio.create_task(each) for each in upkeep]
        _log.info("listening", address=self.address, admin_port=self.admin_port, ready=self.ready)

    async def stop(self) -> None:
        """Drain and close: not ready at once, calls in flight get ``settings.grace_s``, then everything ends."""
        if self._stopped:
            return
        self._stopped = True
        self.draining.set()
        self._readiness.drain()
        await self._rpc.health.close()
        grace_s = self.settings.grace_s
        await asyncio.gather(
            self._rpc.stop(grace_s),
            *(_shut_down(edge, grace_s) for edge in self._flights),
            *(server.stop() for server in self._https[1:]),
        )
        await self._background.stop()
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        # The admin HTTP goes last: until here it tells that the process lives and drains.
        await asyncio.gather(*(server.stop() for server in self._https[:1]))
        for close in reversed(self._closers):
            try:
                await close()
            except Exception as error:
                _log.error("could not close cleanly", exc_info=error)
        await asyncio.to_thread(self.tracing.shutdown)

    async def _start_http(self) -> None:
        host, grace_s = self.settings.host, self.settings.grace_s
        admin = admin_app(
            self.name, self.settings, self._readiness, self.auth, self.tracing, self.metrics, self._variables
        )
        self._https = [HttpServer(admin, host, self.settings.admin_port, "HEADWATER_ADMIN_PORT", grace_s)]
        if self._public is not None:
            app, port, cancels = self._public
            self._https.append(HttpServer(app, host, port, "HEADWATER_HTTP_PORT", grace_s, cancels=cancels))
        for server in self._https:
            await server.start()

    def _start_flight(self) -> None:
        for factory, port, unix_path in self._flight_factories:
            # Arrow would share a taken port with whoever has it, so it is tried here first.
            bind(self.settings.host, port, "HEADWATER_FLIGHT_PORT").close()
            host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
            self._flights.append(factory(self._flight_wiring(f"grpc+tcp://{host}:{port}")))
            if unix_path:
                prepare_unix(Path(unix_path), "HEADWATER_FLIGHT_SOCKET")
                self._flights.append(factory(self._flight_wiring(f"grpc+unix://{unix_path}")))
                os.chmod(unix_path, 0o600)

    def _flight_wiring(self, location: str) -> FlightWiring:
        return FlightWiring(
            location=location,
            authenticator=self.auth,
            loop=asyncio.get_running_loop(),
            tracing=self.tracing,
            metrics=self.metrics,
            ready=lambda: self._interceptors.ready,
            max_batch_bytes=self.settings.max_message_bytes,
        )

    async def _tell_readiness(self) -> None:
        self._interceptors.ready = self._readiness.prepared
        await self._rpc.health.set_ready(self._readiness.ready)

    async def _follow_readiness(self) -> None:
        while True:
            await self._readiness.changed.wait()
            self._readiness.changed.clear()
            await self._tell_readiness()

    def _variables(self) -> dict[str, Any]:
        return {
            "calls_in_flight": self._interceptors.in_flight,
            "threads": threading.active_count(),
            "tasks": len(asyncio.all_tasks()),
            "garbage_collections": [each["collections"] for each in gc.get_stats()],
            "methods": {path: role.name if role else "PUBLIC" for path, role in self.methods.items()},
        }


async def _shut_down(edge: FlightEdge, grace_s: float) -> None:
    """End a Flight server; it waits for its calls in a thread that nobody waits for longer than the grace time."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        edge.shutdown()
        with contextlib.suppress(RuntimeError):  # the loop may have ended before
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name="flight-shutdown", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await done.wait()

"""An HTTP server inside the service's own event loop, on a socket that is bound before."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from chassis.http.protocol import BoundedProtocol, CancellingProtocol
from chassis.sockets import bind


class HttpServer:
    """Serves one ASGI application. ``port`` is known as soon as the object exists."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, variable: str, grace_s: float, *, cancels: bool = False
    ) -> None:
        """Bind the socket; raises PortInUse, naming the setting ``variable``.

        ``cancels``: a request whose client goes away is cancelled; otherwise it is carried out all the same.
        """
        self._socket: socket.socket = bind(host, port, variable)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=CancellingProtocol if cancels else BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(grace_s)),
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; returns when requests are taken."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                return await self._task
            await asyncio.sleep(0.005)
        return None

    async def stop(self) -> None:
        """Take no new connections and let the requests in flight finish, for the grace time at most."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process, which stops all of its servers in order."""
        yield

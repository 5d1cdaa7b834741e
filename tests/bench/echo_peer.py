"""Servers that answer with what they are sent: what gRPC itself costs in Python, by grpc.aio and by our own server.

``python -m tests.bench.echo_peer aio PORT``, or ``ours``, serves until it is stopped.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import psutil
import uvloop

from chassis.rpc.http2.connection import Limits
from chassis.rpc.http2.server import Http2Server
from chassis.sockets import bind
from deploy.ports import HOST, free

_SERVICE, _METHOD = "bench.Echo", "Echo"
PATH = f"/{_SERVICE}/{_METHOD}"
_START_S = 30.0
_LIMITS = Limits(max_message_bytes=2**26, max_metadata_bytes=2**14, max_streams=1000, keepalive_s=60.0)


@contextlib.contextmanager
def echo_server(kind: str = "aio") -> Iterator[tuple[grpc.Channel, psutil.Process]]:
    """A channel to a server on loopback, and its process; both are gone afterwards. ``kind`` is aio or ours."""
    port = free(1)[0]
    process = subprocess.Popen([sys.executable, "-m", __name__, kind, str(port)])
    try:
        with grpc.insecure_channel(f"{HOST}:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_S)
            yield channel, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


async def _echo(raw: bytes, _context: Any) -> bytes:
    return raw


async def _serve_aio(handler: Any, port: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),))
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await server.wait_for_termination()


async def _serve_ours(handler: Any, port: int) -> None:
    server = Http2Server(_LIMITS)
    server.add(_SERVICE, {_METHOD: handler})
    server.answer_unknown(handler)
    await server.start(bind(HOST, port, "PORT"))
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve = _serve_ours if sys.argv[1] == "ours" else _serve_aio
    uvloop.run(serve(grpc.unary_unary_rpc_method_handler(_echo), int(sys.argv[2])))

"""A bare grpc.aio server that answers with what it is sent: what gRPC itself costs in Python.

``python -m tests.bench.echo_peer PORT`` serves until it is stopped.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import uvloop

from deploy.ports import free

_SERVICE, _METHOD = "bench.Echo", "Echo"
PATH = f"/{_SERVICE}/{_METHOD}"
_START_S = 30.0


@contextlib.contextmanager
def echo_server() -> Iterator[grpc.Channel]:
    """A channel to a server on loopback; both are gone afterwards."""
    port = free(1)[0]
    process = subprocess.Popen([sys.executable, "-m", __name__, str(port)])
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_S)
            yield channel
    finally:
        process.terminate()
        process.wait()


async def _echo(raw: bytes, _context: Any) -> bytes:
    return raw


async def _serve(port: int) -> None:
    server = grpc.aio.server()
    handlers: dict[str, Any] = {_METHOD: grpc.unary_unary_rpc_method_handler(_echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

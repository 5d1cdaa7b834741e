"""The server: its methods, the addresses where it listens, and the end."""

import asyncio
import inspect
import socket
from collections.abc import Mapping
from typing import Any

import grpc

from chassis.rpc.http2.connection import Connection, Limits
from chassis.rpc.http2.room import Room
from chassis.rpc.http2.stream import Method

_LAST_WORDS_S = 1.0
_MESSAGES_AT_ONCE = 8
"""So many of the largest may be coming at a time, or more that are smaller."""


class Http2Server:
    """Answers methods of gRPC. Handlers get bytes and give bytes, and their behaviours are coroutines."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = Room(_MESSAGES_AT_ONCE * limits.max_message_bytes)
        self._methods: dict[str, Method] = {}
        self._unknown: Method | None = None
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._all_gone = asyncio.Event()
        self._all_gone.set()

    @property
    def unfinished_bytes(self) -> int:
        """What has come of messages that are not complete."""
        return self._room.taken_bytes

    def add(self, service: str, handlers: Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]) -> None:
        """Answer the methods of a service, by name."""
        for name, handler in handlers.items():
            self._methods[f"/{service}/{name}"] = method_of(handler)

    def answer_unknown(self, handler: "grpc.RpcMethodHandler[Any, Any]") -> None:
        """Answer every other method."""
        self._unknown = method_of(handler)

    async def start(self, listener: socket.socket) -> None:
        """Listen on a bound socket."""
        assert self._unknown is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connect, sock=listener, backlog=1024)

    async def stop(self, grace_s: float) -> None:
        """Take no new calls; wait up to ``grace_s`` for those in flight, then cancel them.

        Clients that do not take their answers hold it up for a second more, at most.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                await self._all_gone.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.cancel()
            try:
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._all_gone.wait()
            except TimeoutError:  # a client does not read, or a method does not let itself be cancelled
                for connection in list(self._connections):
                    connection.abort()
                await self._all_gone.wait()

    def _connect(self) -> Connection:
        assert self._unknown is not None
        return Connection(self._methods, self._unknown, self._limits, self._room, self._remember, self._forget)

    def _remember(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._all_gone.clear()
        if self._stopping:  # it was accepted when the server was not stopping yet
            connection.abort()

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()


def method_of(handler: "grpc.RpcMethodHandler[Any, Any]") -> Method:
    """What answers, as streams want it."""
    of: Any = handler
    behaviour = of.unary_unary or of.unary_stream or of.stream_unary or of.stream_stream
    writes = bool(of.response_streaming) and inspect.iscoroutinefunction(behaviour)
    return Method(
        behaviour,
        bool(of.request_streaming),
        bool(of.response_streaming),
        writes,
        of.response_serializer if writes else None,
    )

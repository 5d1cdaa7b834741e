"""HTTP/1.1 as uvicorn speaks it over llhttp, with what it leaves open: how large the head of a request may be and how
long it may take, and what becomes of a request whose client went away."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 64 * 1024
"""Of what a request has beside its body: the request line, headers, the framing of chunks, trailers. Give or take what
the system hands over at a time."""

HEAD_S = 30.0
"""How long the first head may take from the connection on, and each from its first byte."""

_PER_BODY_BYTE = 16  # a chunk of one byte has five around it
_TOO_LONG = b"The request has too much beside its body."


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a request whose head, or whose trailers, do not end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._beside = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """A client has come, and should say something."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._head_has_come()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a head has come."""
        self._expect_head()
        super().on_message_begin()

    def data_received(self, data: bytes) -> None:
        """Read on, unless there is too much beside the body."""
        self._beside += len(data)
        super().data_received(data)
        if self._beside > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_TOO_LONG), _TOO_LONG)
            )
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._head_has_come()
        self._beside = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        self._beside = max(0, self._beside - _PER_BODY_BYTE * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._beside = 0
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._head_has_come()
        self._head_timer = self.loop.call_later(HEAD_S, self.timeout_keep_alive_handler)

    def _head_has_come(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class CancellingProtocol(BoundedProtocol):
    """Cancels the request that is being answered when its client goes away, as gRPC does."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._task: asyncio.Task[Any] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            self._task = asyncio.current_task()
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not cycle.disconnected:
                    raise
            finally:
                self._task = None

        super()._start_asgi_task(cycle, answer)

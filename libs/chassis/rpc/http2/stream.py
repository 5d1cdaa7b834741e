"""One call: its messages, the servicer's task, and the answer."""

import asyncio
import collections
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio
import structlog

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import HEADER, ErrorCode
from chassis.rpc.http2.header_blocks import OK, Metadata, Request, literals, trailers
from chassis.rpc.http2.inbox import ENCODINGS, PREFIX, Inbox, Refused

if TYPE_CHECKING:
    from chassis.rpc.http2.connection import Connection

_SMALL = 2**14
_MAX_QUEUED_BYTES = 2**20
_MAX_UNREAD_BYTES = 2**20
_LAST = frames.END_HEADERS | frames.END_STREAM
_ACCEPTED = (("grpc-accept-encoding", "identity,deflate,gzip"),)
_FINE = trailers(0, "", ())

_log = structlog.get_logger("chassis.rpc")


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """What answers a method. ``behaviour`` gets bytes, or an iterator of them, and the stream; see ``Stream``.

    ``writes`` if it hands its messages to ``Stream.write``, where ``serialize`` makes bytes of them.
    """

    behaviour: Callable[..., Any]
    takes_stream: bool
    gives_stream: bool
    writes: bool = False
    serialize: Callable[[Any], bytes] | None = None


class Stream(AsyncIterator[bytes]):
    """One call: the part of ``grpc.aio.ServicerContext`` that servicers use, and the iterator of the client's messages.

    The method is called when its message is there, or at once where it takes a stream of them.
    """

    __slots__ = (
        "_arrived",
        "_callbacks",
        "_cancelled",
        "_closed",
        "_code",
        "_connection",
        "_deadline",
        "_ended",
        "_ending",
        "_inbox",
        "_method",
        "_opened",
        "_outbox",
        "_queued",
        "_request",
        "_room",
        "_task",
        "_text",
        "_trailing",
        "_unacknowledged",
        "_window_left",
        "number",
        "window",
    )

    def __init__(
        self, connection: "Connection", number: int, method: Method, request: Request, window: int, own_window: int
    ) -> None:
        self.number = number
        self.window = window
        """What may be sent."""
        self._connection = connection
        self._method = method
        self._request = request
        self._inbox = Inbox(request.encoding, connection.limits.max_message_bytes)
        self._window_left, self._unacknowledged = own_window, 0
        self._ended = False  # the client has sent all
        self._opened = self._closed = self._cancelled = False  # headers sent; all sent; nobody waits
        self._arrived: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._outbox: collections.deque[memoryview] = collections.deque()
        self._queued = 0
        self._ending: bytes | None = None
        self._trailing: Metadata = ()
        self._code, self._text = 0, ""
        self._callbacks: list[Callable[[Any], object]] = []
        timeout_s = request.timeout_s
        self._deadline = None if timeout_s is None else connection.loop.time() + timeout_s

    # What the connection calls.

    def start(self, last: bool) -> None:
        """The headers have come; ``last`` if nothing comes after them."""
        limits, encoding = self._connection.limits, self._request.encoding
        if self._request.size_bytes > limits.max_metadata_bytes:
            text = f"The metadata have {self._request.size_bytes} bytes; {limits.max_metadata_bytes} are possible."
            self._refuse(Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        elif encoding != "identity" and encoding not in ENCODINGS:
            self._trailing = _ACCEPTED
            text = "Messages are compressed in a way that is not known here."
            self._refuse(Refused(grpc.StatusCode.UNIMPLEMENTED, text))
        elif self._method.takes_stream:
            self._begin()
        if last:
            self._end_input()

    def receive(self, data: bytes, begin: int, end: int, padding: int, last: bool) -> None:
        """More of the client's messages."""
        size = end - begin + padding
        self._window_left -= size
        if self._ended or self._window_left < 0:
            self._reset(ErrorCode.STREAM_CLOSED if self._ended else ErrorCode.FLOW_CONTROL_ERROR)
            return
        self._unacknowledged += size
        if not self._closed:
            try:
                self._inbox.add(data, begin, end)
                if len(self._inbox) > 1 and not self._method.takes_stream:
                    raise Refused(grpc.StatusCode.UNIMPLEMENTED, "The method takes one message; more came.")
            except Refused as refusal:
                self._refuse(refusal)
        if last:
            self._end_input()
        else:
            _wake(self._arrived)
            self._make_room()

    def widen(self, increment: int) -> None:
        """The client takes so many bytes more."""
        self.window += increment
        if not increment or self.window > frames.MAX_WINDOW:
            self._reset(ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR)
        else:
            self.pump()

    def pump(self) -> None:
        """Send what the windows allow."""
        connection = self._connection
        while self._outbox:
            room = min(self.window, connection.window, connection.frame_bytes)
            if room <= 0:
                if connection.window <= 0:
                    connection.block(self)
                return
            piece = self._outbox[0]
            if len(piece) > room:
                piece, self._outbox[0] = piece[:room], piece[room:]
            else:
                self._outbox.popleft()
            size = len(piece)
            self.window -= size
            connection.window -= size
            self._queued -= size
            connection.send(HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, self.number))
            connection.send(piece)
        _wake(self._room)
        if self._ending is not None and not self._closed:
            connection.send(connection.headers(self.number, frames.END_STREAM, self._ending))
            self._close()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._closed = self._cancelled = True
        self._outbox.clear()
        _wake(self._arrived)
        _wake(self._room)
        if self._task is not None:
            self._task.cancel()

    def cancel(self) -> None:
        """The server ends."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        else:
            self._reset(ErrorCode.CANCEL)

    # What the servicer calls; see grpc.aio.ServicerContext.

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the client has sent beside its messages."""
        return self._request.metadata

    def time_remaining(self) -> float | None:
        """Until the client's deadline, in seconds; None if it has none."""
        return None if self._deadline is None else max(self._deadline - self._connection.loop.time(), 0.0)

    def peer(self) -> str:
        """Where the client is."""
        return self._connection.peer

    def cancelled(self) -> bool:
        """Whether the client has given up."""
        return self._cancelled

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._closed

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call it with this when the method has ended."""
        self._callbacks.append(callback)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """What goes with the status."""
        self._trailing = metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """What the call ends with if nothing goes wrong."""
        self._code = _number(code)

    def set_details(self, text: str) -> None:
        """What is told beside the code."""
        self._text = text

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Begin the answer."""
        self._open(literals(metadata))

    async def abort(self, code: grpc.StatusCode, text: str = "", metadata: Metadata = ()) -> NoReturn:
        """End the call with this status; raises what the servicer lets pass."""
        self._code, self._text, self._trailing = _number(code), text, metadata or self._trailing
        raise grpc.aio.AbortError

    async def write(self, message: Any) -> None:
        """Send a message of a stream; waits while the client does not take what was sent before."""
        serialize = self._method.serialize
        self._send(message if serialize is None else serialize(message))
        while self._queued > _MAX_QUEUED_BYTES and not self._cancelled:
            self._room = self._connection.loop.create_future()
            await self._room
        await self._connection.drained()
        if self._cancelled:
            raise asyncio.CancelledError

    async def __anext__(self) -> bytes:
        while not self._inbox:
            if self._ended or self._cancelled:
                raise StopAsyncIteration
            self._arrived = self._connection.loop.create_future()
            await self._arrived
        raw = self._inbox.take()
        self._make_room()
        return raw

    # Input.

    def _end_input(self) -> None:
        self._ended = True
        _wake(self._arrived)
        if self._closed:
            self._connection.forget(self)
        elif self._inbox.in_message:
            self._refuse(Refused(grpc.StatusCode.INTERNAL, "The last message is not complete."))
        elif not self._method.takes_stream:
            if self._inbox:
                self._begin()
            else:
                self._refuse(Refused(grpc.StatusCode.UNIMPLEMENTED, "The method takes one message; none came."))

    def _make_room(self) -> None:
        """Let the client send more, once it has sent half of what it may and most of it was taken."""
        enough = 2 * self._unacknowledged >= self._window_left
        if enough and self._inbox.unread_bytes < _MAX_UNREAD_BYTES and not (self._ended or self._closed):
            self._connection.send(frames.window_update(self.number, self._unacknowledged))
            self._window_left += self._unacknowledged
            self._unacknowledged = 0

    # The method.

    def _begin(self) -> None:
        self._connection.begin()
        self._task = self._connection.loop.create_task(self._work())
        self._task.add_done_callback(self._done)

    async def _work(self) -> None:
        try:
            message = await self._answer()
        except grpc.aio.AbortError:
            message = None
        except asyncio.CancelledError:
            message, self._code, self._text = None, _number(grpc.StatusCode.CANCELLED), "The call was cancelled."
        except Exception as error:
            _log.error("a method failed outside of its interceptors", exc_info=error)
            message, self._code, self._text = None, _number(grpc.StatusCode.UNKNOWN), ""
        self._finish(message)

    async def _answer(self) -> bytes | None:
        method = self._method
        source = self if method.takes_stream else self._inbox.take()
        if not method.gives_stream:
            answer: bytes = await method.behaviour(source, self)
            return answer
        if method.writes:
            await method.behaviour(source, self)
            return None
        async for message in method.behaviour(source, self):
            await self.write(message)
        return None

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._connection.end()
        if task.cancelled():  # before it could begin
            self._code = _number(grpc.StatusCode.CANCELLED)
            self._finish(None)
        for callback in self._callbacks:
            callback(self)

    # Output.

    def _finish(self, message: bytes | None) -> None:
        """End the call, with a last message if there is one."""
        if self._closed:
            return
        if message is not None:
            try:
                if self._finish_at_once(message):
                    return
                self._send(message)
            except grpc.aio.AbortError:
                pass  # too large; the status says so
        ending = self._trailers()
        self._ending = ending if self._opened else OK + ending
        self._opened = True
        self.pump()

    def _finish_at_once(self, message: bytes) -> bool:
        """Send all of a small answer in one piece, as nearly all are."""
        connection, number, size = self._connection, self.number, len(message) + PREFIX.size
        if self._opened or connection.prefix or size > min(_SMALL, self.window, connection.window):
            return False
        ending = self._trailers()
        self.window -= size
        connection.window -= size
        parts = (
            HEADER.pack(0, len(OK), frames.HEADERS, frames.END_HEADERS, number),
            OK,
            HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, number),
            PREFIX.pack(0, len(message)),
            message,
            HEADER.pack(len(ending) >> 8, len(ending) & 0xFF, frames.HEADERS, _LAST, number),
            ending,
        )
        connection.send(b"".join(parts))
        self._close()
        return True

    def _trailers(self) -> bytes:
        return trailers(self._code, self._text, self._trailing) if self._code or self._trailing else _FINE

    def _send(self, message: bytes) -> None:
        most = self._connection.limits.max_message_bytes
        if len(message) > most:
            self._code = _number(grpc.StatusCode.RESOURCE_EXHAUSTED)
            self._text = f"Sent message larger than max ({len(message)} vs. {most})"
            raise grpc.aio.AbortError
        if self._closed:
            return
        self._open(b"")
        prefix = PREFIX.pack(0, len(message))
        if len(message) < _SMALL:
            self._outbox.append(memoryview(prefix + message))
        else:
            self._outbox.extend((memoryview(prefix), memoryview(message)))
        self._queued += len(message) + PREFIX.size
        self.pump()

    def _open(self, more: bytes) -> None:
        if not (self._opened or self._closed):
            self._opened = True
            self._connection.send(self._connection.headers(self.number, 0, OK + more))

    def _refuse(self, refusal: Refused) -> None:
        """End the call without the method."""
        if self._closed:
            return
        self._code, self._text = _number(refusal.code), refusal.text
        self._outbox.clear()
        block = self._trailers() if self._opened else OK + self._trailers()
        self._connection.send(self._connection.headers(self.number, frames.END_STREAM, block))
        self._close()
        if self._task is not None:
            self._task.cancel()

    def _close(self) -> None:
        """The answer is complete. A client that still sends is told that it need not."""
        self._closed = True
        if not self._ended:
            self._connection.send(frames.rst_stream(self.number, ErrorCode.NO_ERROR))
        self._connection.forget(self)

    def _reset(self, code: ErrorCode) -> None:
        """End the call without a status."""
        if not self._closed:
            self._connection.send(frames.rst_stream(self.number, code))
        self._connection.forget(self)
        self.abandon()


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)

"""One call: its messages, the servicer's task, and the answer."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import grpc.aio
import structlog

from chassis.rpc.codec import Pieces
from chassis.rpc.http2 import frames
from chassis.rpc.http2.answer import Answer
from chassis.rpc.http2.frames import Broken, ErrorCode
from chassis.rpc.http2.header_blocks import Metadata, Request, literals, trailers
from chassis.rpc.http2.inbox import ENCODINGS, Inbox, Refused
from chassis.rpc.http2.room import Full

if TYPE_CHECKING:
    from chassis.rpc.http2.connection import Connection

_MAX_UNREAD_BYTES = 2**20
_ACCEPTED = literals((("grpc-accept-encoding", "identity,deflate,gzip"),))
_LATER = literals((("grpc-retry-pushback-ms", "1000"),))
_FINE = trailers(0, "", b"")

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


class Stream(AsyncIterator[bytes | memoryview]):
    """One call: the part of ``grpc.aio.ServicerContext`` that servicers use, and the iterator of the client's messages.

    The method is called when its message is there, or at once where it takes a stream of them.
    """

    __slots__ = (
        "_answer",
        "_arrived",
        "_code",
        "_connection",
        "_deadline",
        "_ended",
        "_held",
        "_inbox",
        "_method",
        "_request",
        "_task",
        "_text",
        "_trailing",
        "_unacknowledged",
        "_window_left",
        "number",
    )

    def __init__(
        self, connection: "Connection", number: int, method: Method, request: Request, window: int, own_window: int
    ) -> None:
        self.number = number
        self._connection = connection
        self._method = method
        self._request = request
        self._inbox = Inbox(request.encoding, connection.limits.max_message_bytes)
        self._answer = Answer(connection.sender, number, window, self._close)
        self._window_left, self._unacknowledged = own_window, 0
        self._ended = False  # the client has sent all
        self._held = 0  # of the connection's room
        self._arrived: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._trailing = b""
        self._code, self._text = 0, ""
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
        if not self._answer.closed:
            try:
                self._inbox.add(data, begin, end)
                self._hold(self._inbox.unfinished_bytes)
                if len(self._inbox) > 1 and not self._method.takes_stream:
                    raise Refused(grpc.StatusCode.UNIMPLEMENTED, "The method takes one message; more came.")
            except Refused as refusal:
                self._refuse(refusal)
        if last:
            self._end_input()
        else:
            _wake(self._arrived)
            self._make_room()

    def give_way(self) -> None:
        """See Holder."""
        self._refuse(Full())

    def widen(self, increment: int) -> None:
        """The client takes so many bytes more."""
        self._answer.window += increment
        if not increment or self._answer.window > frames.MAX_WINDOW:
            self._reset(ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR)
        else:
            self._answer.pump()

    def resize(self, more: int) -> None:
        """The client takes so many bytes more of every stream, or, below zero, less.

        Raises:
            Broken: there are no such windows.
        """
        self._answer.window += more
        if self._answer.window > frames.MAX_WINDOW:
            raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "a window of another size")
        self._answer.pump()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        self._answer.abandon()
        self._leave()
        _wake(self._arrived)
        if self._task is not None:
            self._task.cancel()

    def cancel(self) -> None:
        """The server ends."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        else:
            self._reset(ErrorCode.CANCEL)

    def expire(self, now: float) -> None:
        """End the call if its deadline is over, and no method is at work that would notice by itself."""
        if self._deadline is None or now < self._deadline:
            return
        if self._task is None:
            text = "The deadline was over before the message had come."
            self._refuse(Refused(grpc.StatusCode.DEADLINE_EXCEEDED, text))
        elif self._task.done():  # the client does not take the answer
            self._reset(ErrorCode.CANCEL)

    # What the servicer calls; see grpc.aio.ServicerContext.

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the client has sent beside its messages."""
        return self._request.metadata

    def time_remaining(self) -> float | None:
        """Until the client's deadline, in seconds; None if it has none."""
        return None if self._deadline is None else max(self._deadline - self._connection.loop.time(), 0.0)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """What goes with the status.

        Raises:
            ValueError: it is no metadata.
        """
        self._trailing = literals(metadata)

    def set_code(self, code: grpc.StatusCode) -> None:
        """What the call ends with if nothing goes wrong."""
        self._code = _number(code)

    def set_details(self, text: str) -> None:
        """What is told beside the code."""
        self._text = text

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Begin the answer.

        Raises:
            ValueError: it is no metadata.
        """
        self._answer.open(literals(metadata))

    async def abort(self, code: grpc.StatusCode, text: str = "", metadata: Metadata = ()) -> NoReturn:
        """End the call with this status; raises what the servicer lets pass."""
        self._code, self._text, self._trailing = _number(code), text, literals(metadata) or self._trailing
        raise grpc.aio.AbortError

    async def write(self, message: Any) -> None:
        """Send a message of a stream; waits while the client does not take what was sent before."""
        serialize = self._method.serialize
        raw: bytes = message if serialize is None else serialize(message)
        if self._too_large(raw):
            raise grpc.aio.AbortError
        self._answer.add(raw)
        await self._answer.room(self._connection.loop)
        if self._answer.closed:
            raise asyncio.CancelledError

    async def __anext__(self) -> bytes | memoryview:
        while not self._inbox and not self._answer.closed:
            if self._ended:
                raise StopAsyncIteration
            self._arrived = self._connection.loop.create_future()
            await self._arrived
        if self._answer.closed:  # never as if the client had sent all that it wanted to
            raise asyncio.CancelledError
        try:
            raw = self._inbox.take()
        except Refused as refusal:
            self._refuse(refusal)
            await asyncio.sleep(0)  # here the method is cancelled, and not once more while it cleans up
            raise asyncio.CancelledError from refusal  # whoever else asks
        self._make_room()
        return raw

    # Input.

    def _end_input(self) -> None:
        self._ended = True
        _wake(self._arrived)
        if self._answer.closed:
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
        if enough and self._inbox.unread_bytes < _MAX_UNREAD_BYTES and not (self._ended or self._answer.closed):
            self._connection.sender.send(frames.window_update(self.number, self._unacknowledged))
            self._window_left += self._unacknowledged
            self._unacknowledged = 0

    def _hold(self, size_bytes: int) -> None:
        if size_bytes != self._held:  # nearly always nothing
            self._held = size_bytes
            self._connection.room.hold(self, size_bytes, self._connection.loop.time())

    def _leave(self) -> None:
        self._inbox.drop()
        self._hold(0)

    # The method.

    def _begin(self) -> None:
        self._connection.begin()
        self._task = self._connection.loop.create_task(self._work())
        self._task.add_done_callback(self._done)

    async def _work(self) -> None:
        message = None
        try:
            message = await self._call()
            if message is not None and self._too_large(message):
                message = None
        except grpc.aio.AbortError:
            pass  # the code was set by who has raised it
        except Refused as refusal:
            self._code, self._text = _number(refusal.code), refusal.text
        except asyncio.CancelledError:
            self._code, self._text = _number(grpc.StatusCode.CANCELLED), "The call was cancelled."
        except Exception as error:
            _log.error("a method failed outside of its interceptors", exc_info=error)
            self._code, self._text = _number(grpc.StatusCode.UNKNOWN), ""
        self._answer.finish(message, self._trailers())

    async def _call(self) -> bytes | Pieces | None:
        method = self._method
        source = self if method.takes_stream else self._inbox.take()
        if not method.gives_stream:
            answer: bytes | Pieces = await method.behaviour(source, self)
            return answer
        if method.writes:
            await method.behaviour(source, self)
            return None
        async with contextlib.aclosing(method.behaviour(source, self)) as messages:
            async for message in messages:
                await self.write(message)
        return None

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._connection.end()
        if task.cancelled():  # before it could begin
            self._code = _number(grpc.StatusCode.CANCELLED)
            self._answer.finish(None, self._trailers())

    # The end.

    def _too_large(self, message: bytes | Pieces) -> bool:
        most = self._connection.limits.max_message_bytes
        if len(message) <= most:
            return False
        self._code = _number(grpc.StatusCode.RESOURCE_EXHAUSTED)
        self._text = f"Sent message larger than max ({len(message)} vs. {most})"
        return True

    def _trailers(self) -> bytes:
        return trailers(self._code, self._text, self._trailing) if self._code or self._trailing else _FINE

    def _refuse(self, refusal: Refused) -> None:
        """End the call without the method."""
        if self._answer.closed:
            return
        self._code, self._text = _number(refusal.code), refusal.text
        if isinstance(refusal, Full):
            self._trailing = _LATER
        self._answer.refuse(self._trailers())
        if self._task is not None:
            self._task.cancel()

    def _close(self) -> None:
        """The answer is complete. A client that still sends is told that it need not."""
        self._leave()
        if not self._ended:
            self._connection.sender.send(frames.rst_stream(self.number, ErrorCode.NO_ERROR))
        self._connection.forget(self)

    def _reset(self, code: ErrorCode) -> None:
        """End the call without a status."""
        self._connection.sender.send(frames.rst_stream(self.number, code))
        self._connection.forget(self)
        self.abandon()


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)

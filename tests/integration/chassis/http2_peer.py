"""A client that speaks any HTTP/2, broken ones too, and a small server of gRPC to speak it to."""

import asyncio
import contextlib
import dataclasses
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import hpack

from chassis.rpc.http2 import frames
from chassis.rpc.http2.connection import Limits
from chassis.rpc.http2.frames import Setting
from chassis.rpc.http2.inbox import PREFIX
from chassis.rpc.http2.server import Http2Server
from chassis.rpc.http2.stream import Stream
from chassis.sockets import bind

LIMITS = Limits(max_message_bytes=2**20, max_metadata_bytes=16 * 1024, max_streams=50, keepalive_s=60.0)
HEAD = ((":method", "POST"), (":scheme", "http"), ("content-type", "application/grpc"), ("te", "trailers"))


@dataclasses.dataclass(frozen=True)
class Frame:
    """One that came."""

    kind: int
    flags: int
    number: int
    payload: bytes

    @property
    def ends(self) -> bool:
        """Whether it is the last of its stream."""
        is_last = self.kind in (frames.DATA, frames.HEADERS) and bool(self.flags & frames.END_STREAM)
        return is_last or self.kind == frames.RST_STREAM

    @property
    def code(self) -> int:
        """Of RST_STREAM and GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == frames.RST_STREAM else self.payload[4:8], "big")


@dataclasses.dataclass
class Answered:
    """What came on a stream."""

    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None

    @property
    def status(self) -> str | None:
        """gRPC's."""
        return self.headers.get("grpc-status")


class Peer:
    """One connection. Nothing is sent or answered that the test does not ask for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()

    def send(self, *sent: bytes) -> None:
        """Send."""
        self.writer.write(b"".join(sent))

    def block(self, path: str = "/tests.Echo/Echo", *more: tuple[str, str]) -> bytes:
        """The headers of a call."""
        return bytes(self._encoder.encode([(":path", path), *HEAD, *more]))

    def headers(self, number: int, path: str = "/tests.Echo/Echo", *more: tuple[str, str], last: bool = False) -> bytes:
        """The frame that begins a call."""
        flags = frames.END_HEADERS | (frames.END_STREAM if last else 0)
        return frames.frame(frames.HEADERS, flags, number, self.block(path, *more))

    def call(self, number: int, path: str = "/tests.Echo/Echo", message: bytes = b"x", *more: tuple[str, str]) -> bytes:
        """All the frames of a call."""
        return self.headers(number, path, *more) + data(number, message)

    async def frame(self) -> Frame | None:
        """The next that comes; None when the connection has ended."""
        try:
            header = await self.reader.readexactly(frames.HEADER_BYTES)
            high, low, kind, flags, number = frames.HEADER.unpack(header)
            return Frame(kind, flags, number, await self.reader.readexactly(high << 8 | low))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first such frame; those before it are dropped."""
        async with asyncio.timeout(10):
            while (frame := await self.frame()) is not None:
                if wanted(frame):
                    return frame
        raise EOFError

    async def answer(self, number: int) -> Answered:
        """All that comes on a stream until it ends."""
        answered = Answered()
        async with asyncio.timeout(10):
            while (frame := await self.frame()) is not None:
                if frame.kind == frames.HEADERS:
                    fields = {
                        each[0].decode(): each[1].decode() for each in self._decoder.decode(frame.payload, raw=True)
                    }
                    if frame.number == number:
                        answered.headers.update(fields)
                elif frame.kind == frames.DATA and frame.number == number:
                    answered.data += frame.payload
                elif frame.kind == frames.RST_STREAM and frame.number == number:
                    answered.reset = frame.code
                if frame.number == number and frame.ends:
                    return answered
        raise EOFError

    async def last_words(self) -> int | None:
        """The code of the GOAWAY with which the server ends the connection; None if it ends without one."""
        code = None
        async with asyncio.timeout(10):
            while (frame := await self.frame()) is not None:
                if frame.kind == frames.GOAWAY:
                    code = frame.code
        return code

    async def still_answers(self, number: int) -> None:
        """A good call succeeds on this connection."""
        self.send(self.call(number, message=b"still there?"))
        answered = await self.answer(number)
        assert answered.status == "0", answered
        assert answered.data == prefixed(b"still there?")


def prefixed(message: bytes) -> bytes:
    """A message as gRPC sends it."""
    return PREFIX.pack(0, len(message)) + message


def data(number: int, message: bytes = b"x", last: bool = True) -> bytes:
    """A message in one frame."""
    return frames.frame(frames.DATA, frames.END_STREAM if last else 0, number, prefixed(message))


class Served:
    """A server with four methods: Echo, Slow (waits), Hold (waits, and reads nothing), Count, Give."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.server = Http2Server(limits)
        self.port = 0
        self.slow = 0
        self.cancelled = 0
        self.given = 0
        self.ended: list[int] = []
        self.go_on = asyncio.Event()
        of = grpc
        self.server.add(
            "tests.Echo",
            {
                "Echo": of.unary_unary_rpc_method_handler(self._echo),
                "Slow": of.unary_unary_rpc_method_handler(self._slow),
                "Count": of.stream_unary_rpc_method_handler(self._count),
                "Hold": of.stream_unary_rpc_method_handler(self._slow),
                "Give": of.unary_stream_rpc_method_handler(self._give),
            },
        )
        self.server.answer_unknown(of.unary_unary_rpc_method_handler(self._unknown))

    async def start(self) -> None:
        """Listen."""
        listener = bind("127.0.0.1", 0, "PORT")
        self.port = listener.getsockname()[1]
        await self.server.start(listener)

    @contextlib.asynccontextmanager
    async def peer(self, settings: dict[Setting, int] | None = None, greet: bool = True) -> AsyncIterator[Peer]:
        """A new connection; one that says hello first, or not even that."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**25)
        try:
            peer = Peer(reader, writer)
            if greet:
                peer.send(frames.PREFACE, frames.settings(settings or {}))
            yield peer
        finally:
            writer.transport.abort()

    async def _echo(self, message: bytes, _context: Any) -> bytes:
        return message

    async def _slow(self, _message: Any, _context: Any) -> bytes:
        self.slow += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return b"gone on"

    async def _count(self, messages: AsyncIterator[bytes], _context: Any) -> bytes:
        size = 0
        async for message in messages:
            size += len(message)
        self.ended.append(size)
        return b"%d" % size

    async def _give(self, message: bytes, _context: Any) -> AsyncIterator[bytes]:
        try:
            for _ in range(int(message)):
                self.given += 1
                yield bytes(100_000)
        finally:
            self.ended.append(self.given)

    async def _unknown(self, _message: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        raise AssertionError


def streams_in_memory() -> int:
    """How many calls anything still holds on to; other tests of this process may have left some."""
    gc.collect()
    return sum(type(each) is Stream for each in gc.get_objects())  # isinstance asks some objects, which then warn

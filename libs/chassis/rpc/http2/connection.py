"""One client's connection: its streams, the windows, and what is sent."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import cast

import structlog

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import Broken, ErrorCode, Setting
from chassis.rpc.http2.header_blocks import NO_TABLE, BadRequest, HeaderReader, http_status
from chassis.rpc.http2.reader import MAX_FRAME_BYTES, FrameReader
from chassis.rpc.http2.room import Room
from chassis.rpc.http2.sender import Sender
from chassis.rpc.http2.stream import Method, Stream

STREAM_WINDOW = 4 * 2**20
"""What a client may send of one call before it is told that there is room for more, in bytes."""
_WINDOW = 64 * 2**20
_PING, _LAST_PING = b"headwatr", b"goodbye!"
_GOODBYE_S = 1.0  # a client that has not answered the last ping by then is taken to have read what came before it

_log = structlog.get_logger("chassis.rpc")


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do.

    Attributes:
        max_message_bytes: the largest message, each way.
        max_metadata_bytes: of one call.
        max_streams: calls at once, those included that the client has given up and that have not ended yet.
        keepalive_s: who has said nothing for so long is asked, and who does not answer for as long is given up.
    """

    max_message_bytes: int
    max_metadata_bytes: int
    max_streams: int
    keepalive_s: float


class Connection(asyncio.Protocol):
    """See the module. ``begun`` is called once, when there is a connection, ``ended`` when it is gone."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        unknown: Method,
        limits: Limits,
        room: Room,
        begun: "Callable[[Connection], None]",
        ended: "Callable[[Connection], None]",
    ) -> None:
        self.limits = limits
        self.room = room
        self.loop = asyncio.get_running_loop()
        self._peer = ""
        self.sender: Sender
        """What answers go through."""
        self._methods = methods
        self._unknown = unknown
        self._begun, self._ended = begun, ended
        self._transport: asyncio.Transport
        self._reader = FrameReader(self)
        self._headers = HeaderReader()
        self._streams: dict[int, Stream] = {}
        self._running = 0
        self._last_stream = self._last_taken = 0
        self._stream_window = frames.DEFAULT_WINDOW
        self._window_left, self._unacknowledged = _WINDOW, 0
        self._leaving: asyncio.TimerHandle | None = None
        self._draining = False
        self._heard, self._asked = True, False
        self._keepalive: asyncio.TimerHandle | None = None
        self._on: Mapping[int, Callable[[int, int, bytes], None]] = {
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW_UPDATE: self._on_window_update,
        }

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        self.sender = Sender(self._transport, self.loop.call_soon)
        name = transport.get_extra_info("peername")
        self._peer = f"ipv{6 if len(name) > 2 else 4}:{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix:"
        said = {
            Setting.MAX_CONCURRENT_STREAMS: self.limits.max_streams,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            Setting.MAX_FRAME_SIZE: MAX_FRAME_BYTES,
            Setting.MAX_HEADER_LIST_SIZE: self.limits.max_metadata_bytes,
        }
        self.sender.send(frames.settings(said) + frames.window_update(0, _WINDOW - frames.DEFAULT_WINDOW))
        self._keepalive = self.loop.call_later(self.limits.keepalive_s, self._keep_alive)
        self._begun(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Cancel what nobody waits for any more."""
        for timer in (self._keepalive, self._leaving):
            if timer is not None:
                timer.cancel()
        self._abandon()
        self._ended(self)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        self.sender.pause()

    def resume_writing(self) -> None:
        """It does again."""
        self.sender.resume()

    def data_received(self, data: bytes) -> None:
        """See FrameReader."""
        self._heard = True
        if self._transport.is_closing():
            return
        try:
            self._reader.read(data)
        except Broken as error:
            _log.debug("a client breaks HTTP/2", peer=self._peer, why=str(error))
            self.sender.send(frames.goaway(self._last_taken, error.code, str(error)))
            self._abandon()
            self._close()

    # What streams call.

    def begin(self) -> None:
        """A stream's work has begun."""
        self._running += 1

    def end(self) -> None:
        """A stream's work has ended."""
        self._running -= 1

    def forget(self, stream: Stream) -> None:
        """The stream has ended on both sides, or been reset."""
        self._streams.pop(stream.number, None)
        if self._draining and not self._streams:
            self.loop.call_soon(self._close)

    # What the server calls.

    def drain(self) -> None:
        """Take no new streams, as soon as the client knows that; close when the last has ended.

        A call that was on its way when it was told would fail otherwise, though nothing was wrong with it.
        """
        if self._leaving is None and not self._draining:
            parting = frames.goaway(frames.MAX_STREAM, ErrorCode.NO_ERROR) + frames.ping(0, _LAST_PING)
            self.sender.send(parting)
            self._leaving = self.loop.call_later(_GOODBYE_S, self._refuse_more)

    def cancel(self) -> None:
        """End every stream, and the connection when they have."""
        self._refuse_more()
        for stream in list(self._streams.values()):
            stream.cancel()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    # What the reader calls.

    def on_data(self, number: int, data: bytes, begin: int, end: int, padding: int, last: bool) -> None:
        """See Frames."""
        size = end - begin + padding
        self._window_left -= size
        if self._window_left < 0:
            raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "more than the window")
        self._unacknowledged += size
        if self._unacknowledged >= _WINDOW // 2:
            self.sender.send(frames.window_update(0, self._unacknowledged))
            self._window_left += self._unacknowledged
            self._unacknowledged = 0
        stream = self._streams.get(number)
        if stream is not None:
            stream.receive(data, begin, end, padding, last)
        elif number > self._last_stream or not number & 1:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "data of no stream")

    def on_headers(self, number: int, block: bytes, last: bool) -> None:
        """See Frames."""
        if not number & 1:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "the number of a stream is not a client's")
        if number <= self._last_stream:
            self._headers.skip(block)
            if (stream := self._streams.get(number)) is not None:  # trailers, of which gRPC's clients have none
                if not last:
                    raise Broken(ErrorCode.PROTOCOL_ERROR, "headers in the middle of a stream")
                stream.receive(b"", 0, 0, 0, last=True)
            return
        self._last_stream = number
        try:
            request = self._headers.read(block)
        except BadRequest as error:
            if error.status is not None:
                self.sender.send(self.sender.headers(number, frames.END_STREAM, http_status(error.status)))
            if error.status is None or not last:
                code = ErrorCode.PROTOCOL_ERROR if error.status is None else ErrorCode.NO_ERROR
                self.sender.send(frames.rst_stream(number, code))
            return
        # A call at work counts twice, as a stream and as work; one that was given up, as work until it has ended.
        if self._draining or len(self._streams) + self._running >= 2 * self.limits.max_streams:
            self.sender.send(frames.rst_stream(number, ErrorCode.REFUSED_STREAM))
            return
        self._last_taken = number
        method = self._methods.get(request.path, self._unknown)
        stream = Stream(self, number, method, request, self._stream_window, STREAM_WINDOW)
        self._streams[number] = stream
        stream.start(last)

    def on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """See Frames. Kinds that nobody knows are to be ignored."""
        handle = self._on.get(kind)
        if handle is not None:
            handle(flags, number, payload)

    def _on_reset(self, _flags: int, number: int, payload: bytes) -> None:
        frames.word(payload)
        if number > self._last_stream or not number:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a stream ends that never began")
        if (stream := self._streams.get(number)) is not None:
            self.forget(stream)
            stream.abandon()

    def _on_priority(self, _flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a priority of no stream")
        if len(payload) != frames.PRIORITY_BYTES:
            raise Broken(ErrorCode.FRAME_SIZE_ERROR, "a priority of another length")

    def _on_promise(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise Broken(ErrorCode.PROTOCOL_ERROR, "clients promise nothing")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a PING of a stream")
        if len(payload) != frames.PING_BYTES:
            raise Broken(ErrorCode.FRAME_SIZE_ERROR, "a PING has eight bytes")
        if not flags & frames.ACK:
            self.sender.send(frames.ping(frames.ACK, payload))
        elif payload == _LAST_PING and self._leaving is not None:
            self._refuse_more()

    def _on_goaway(self, _flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "the end of a stream is no GOAWAY")
        if len(payload) < frames.GOAWAY_BYTES:
            raise Broken(ErrorCode.FRAME_SIZE_ERROR, "a GOAWAY is too short")
        self._refuse_more()

    def _on_window_update(self, _flags: int, number: int, payload: bytes) -> None:
        increment = frames.word(payload) & 0x7FFFFFFF
        if number > self._last_stream:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a window of no stream")
        if number:
            if (stream := self._streams.get(number)) is not None:
                stream.widen(increment)
            return
        if not increment:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "a window is widened by nothing")
        if self.sender.window + increment > frames.MAX_WINDOW:
            raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "a window of another size")
        self.sender.widen(increment)

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Broken(ErrorCode.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            if payload:
                raise Broken(ErrorCode.FRAME_SIZE_ERROR, "to acknowledge settings takes no payload")
            return
        for name, value in frames.read_settings(payload):
            if name == Setting.INITIAL_WINDOW_SIZE:
                self._resize(value)
            elif name == Setting.HEADER_TABLE_SIZE:
                self.sender.prefix = NO_TABLE  # no table is used; a client who wants a smaller one has to be told so
            elif name == Setting.MAX_FRAME_SIZE:
                if not frames.MIN_FRAME_BYTES <= value < 2**24:
                    raise Broken(ErrorCode.PROTOCOL_ERROR, "frames of another size")
                self.sender.limit_frames(value)
            elif name == Setting.ENABLE_PUSH and value > 1:
                raise Broken(ErrorCode.PROTOCOL_ERROR, "a setting is neither on nor off")
        self.sender.send(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _resize(self, window: int) -> None:
        if window > frames.MAX_WINDOW:
            raise Broken(ErrorCode.FLOW_CONTROL_ERROR, "a window of another size")
        more, self._stream_window = window - self._stream_window, window
        for stream in list(self._streams.values()):
            stream.resize(more)

    # The end.

    def _abandon(self) -> None:
        streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.abandon()

    def _keep_alive(self) -> None:
        if not self._heard and self._asked:
            self._transport.abort()
            return
        if not self._heard:
            self.sender.send(frames.ping(0, _PING))
        self._asked, self._heard = not self._heard, False
        for stream in list(self._streams.values()):
            stream.expire(self.loop.time())
        self._keepalive = self.loop.call_later(self.limits.keepalive_s, self._keep_alive)

    def _refuse_more(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        if self._draining:
            return
        self._draining = True
        self.sender.send(frames.goaway(self._last_taken, ErrorCode.NO_ERROR))
        if not self._streams:
            self.loop.call_soon(self._close)

    def _close(self) -> None:
        self.sender.flush()
        self._transport.close()

"""What is sent on one stream: headers, messages, trailers, as fast as the client takes them."""

import asyncio
import collections
from collections.abc import Callable

from chassis.rpc.codec import Pieces
from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import HEADER
from chassis.rpc.http2.header_blocks import OK
from chassis.rpc.http2.inbox import PREFIX
from chassis.rpc.http2.sender import Sender

_SMALL = 2**14
_MAX_QUEUED_BYTES = 2**20
_LAST = frames.END_HEADERS | frames.END_STREAM


class Answer:
    """The answer of one call. ``completed`` is called once, when all of it was sent; not after ``abandon``."""

    __slots__ = (
        "_completed",
        "_ending",
        "_opened",
        "_pieces",
        "_queued",
        "_room",
        "_sender",
        "closed",
        "number",
        "window",
    )

    def __init__(self, sender: Sender, number: int, window: int, completed: Callable[[], None]) -> None:
        self.number = number
        self.window = window
        """What the client takes of this stream."""
        self.closed = False
        """Whether nothing more will be sent."""
        self._sender = sender
        self._completed = completed
        self._opened = False  # the headers were sent
        self._pieces: collections.deque[memoryview] = collections.deque()
        self._queued = 0
        self._ending: bytes | None = None
        self._room: asyncio.Future[None] | None = None

    def open(self, more: bytes = b"") -> None:
        """Send the headers, with ``more`` behind those that every answer has. Only the first time counts."""
        if not (self._opened or self.closed):
            self._opened = True
            self._sender.send(self._sender.headers(self.number, 0, OK + more))

    def add(self, message: bytes | Pieces) -> None:
        """Send a message when there is room."""
        if self.closed:
            return
        self.open()
        prefix = PREFIX.pack(0, len(message))
        if isinstance(message, Pieces):
            self._pieces.append(memoryview(prefix))
            self._pieces.extend(message.parts)
        elif len(message) < _SMALL:
            self._pieces.append(memoryview(prefix + message))
        else:
            self._pieces.extend((memoryview(prefix), memoryview(message)))
        self._queued += len(message) + PREFIX.size
        self.pump()

    async def room(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait while the client does not take what was added, or others are to be served."""
        while (self._queued > _MAX_QUEUED_BYTES or (self._queued and self._sender.full)) and not self.closed:
            self._room = loop.create_future()
            await self._room

    def finish(self, message: bytes | Pieces | None, trailers: bytes) -> None:
        """Send a last message, if there is one, and the trailers, when there is room."""
        if self.closed or (isinstance(message, bytes) and self._finish_at_once(message, trailers)):
            return
        if message is not None:
            self.add(message)
        self._ending = trailers
        self.pump()

    def refuse(self, trailers: bytes) -> None:
        """Send the trailers now; what was not sent before is not sent any more."""
        if not self.closed:
            self._drop()
            self._end(trailers)

    def abandon(self) -> None:
        """Send nothing more."""
        self.closed = True
        self._drop()
        self._wake()

    def pump(self) -> None:
        """Send what there is room for."""
        sender = self._sender
        while self._pieces:
            room = 0 if sender.full else min(self.window, sender.window, sender.frame_bytes)
            if room <= 0:
                if sender.full or sender.window <= 0:
                    sender.wait(self)
                return
            piece = self._pieces[0]
            if len(piece) > room:
                self._send_frames(piece, room)
                continue
            self._pieces.popleft()
            size = len(piece)
            self._sent(size)
            sender.send(HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, self.number))
            sender.send(piece)
        self._wake()
        if self._ending is not None and not self.closed:
            self._end(self._ending)

    def _send_frames(self, piece: memoryview, size: int) -> None:
        """Send as many frames of this size as a turn and the windows have room for, of a piece that has more."""
        sender = self._sender
        count = max(min(len(piece), self.window, sender.window, sender.turn_bytes) // size, 1)
        header = HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, self.number)
        sent: list[bytes | memoryview] = []
        for begin in range(0, count * size, size):
            sent += (header, piece[begin : begin + size])
        self._sent(count * size)
        sender.send_all(sent, count * size)
        if len(piece) > count * size:
            self._pieces[0] = piece[count * size :]
        else:
            self._pieces.popleft()

    def _sent(self, size: int) -> None:
        self.window -= size
        self._sender.window -= size
        self._queued -= size

    def _finish_at_once(self, message: bytes, trailers: bytes) -> bool:
        """Send all of a small answer in one piece, as nearly all are."""
        sender, number, size, ending = self._sender, self.number, len(message) + PREFIX.size, len(trailers)
        if self._opened or sender.full or sender.prefix or size > _SMALL or ending > _SMALL:
            return False
        if size > self.window or size > sender.window:
            return False
        self.window -= size
        sender.window -= size
        parts = (
            HEADER.pack(0, len(OK), frames.HEADERS, frames.END_HEADERS, number),
            OK,
            HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, number),
            PREFIX.pack(0, len(message)),
            message,
            HEADER.pack(ending >> 8, ending & 0xFF, frames.HEADERS, _LAST, number),
            trailers,
        )
        sender.send(b"".join(parts))
        self.closed = True
        self._completed()
        return True

    def _end(self, trailers: bytes) -> None:
        block = trailers if self._opened else OK + trailers
        self._opened = self.closed = True
        self._sender.send(self._sender.headers(self.number, frames.END_STREAM, block))
        self._wake()
        self._completed()

    def _drop(self) -> None:
        if self._pieces:
            self._pieces.clear()
            self._sender.forget(self.number)

    def _wake(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

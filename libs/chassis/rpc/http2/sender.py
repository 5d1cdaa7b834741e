"""What goes out on one connection: all that is sent within a turn of the loop goes in one write."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chassis.rpc.http2 import frames

if TYPE_CHECKING:
    from chassis.rpc.http2.answer import Answer

_MAX_FRAME_BYTES = 2**20  # of a frame that is sent, whatever the client would take
_TURN_BYTES = 2**19  # more than this waits for the next turn, so that the loop and other streams get theirs
_PIECE_BYTES = 2**8  # what a piece counts beside its own bytes: many small ones fill a turn, too
_MAX_UNREAD_BYTES = 8 * 2**20  # of what clients can ask for without end; answers wait long before


class Sender:
    """The connection's half of flow control; each stream's is in its answer."""

    def __init__(self, transport: asyncio.Transport, schedule: Callable[[Callable[[], None]], object]) -> None:
        self.window = frames.DEFAULT_WINDOW
        """What may be sent of all streams together."""
        self.frame_bytes = frames.MIN_FRAME_BYTES
        """Of one frame that is sent, at most."""
        self.prefix = b""
        """What the next header block that is sent has to begin with; see :meth:`headers`."""
        self.full = False
        """Whether answers have to wait: enough goes out this turn, or the client does not read."""
        self._transport = transport
        self._schedule = schedule
        self._paused = False
        self._pieces: list[bytes | memoryview] = []
        self._bytes = 0
        self._waiting: dict[int, Answer] = {}

    def send(self, data: bytes | memoryview) -> None:
        """Send, together with all else that is sent before the loop comes around."""
        if not self._pieces:
            self._schedule(self.flush)
        self._pieces.append(data)
        self._bytes += len(data) + _PIECE_BYTES
        if self._bytes > _TURN_BYTES:
            self.full = True

    @property
    def turn_bytes(self) -> int:
        """What may still go out this turn."""
        return max(_TURN_BYTES - self._bytes, 0)

    def send_all(self, pieces: Sequence[bytes | memoryview], size: int) -> None:
        """As ``send`` for each of them; ``size`` bytes together."""
        if not self._pieces:
            self._schedule(self.flush)
        self._pieces += pieces
        self._bytes += size + len(pieces) * _PIECE_BYTES
        if self._bytes > _TURN_BYTES:
            self.full = True

    def headers(self, number: int, flags: int, block: bytes) -> bytes:
        """A HEADERS frame with such a block, to be sent next, and what of the block has no room in it."""
        if self.prefix:
            block, self.prefix = self.prefix + block, b""
        most = self.frame_bytes
        if len(block) <= most:
            return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, number, block)
        parts = [frames.frame(frames.HEADERS, flags, number, block[:most])]
        for begin in range(most, len(block), most):
            last = frames.END_HEADERS if begin + most >= len(block) else 0
            parts.append(frames.frame(frames.CONTINUATION, last, number, block[begin : begin + most]))
        return b"".join(parts)

    def wait(self, answer: "Answer") -> None:
        """Go on with this answer when there is room."""
        self._waiting[answer.number] = answer

    def forget(self, number: int) -> None:
        """There is nothing more to be sent of this stream."""
        self._waiting.pop(number, None)

    def widen(self, increment: int) -> None:
        """The client takes so many bytes more of all streams together."""
        self.window += increment
        self._go_on()

    def limit_frames(self, size: int) -> None:
        """The client takes frames of this size."""
        self.frame_bytes = min(size, _MAX_FRAME_BYTES)

    def pause(self) -> None:
        """The client does not read as fast as it is answered."""
        self._paused = self.full = True

    def resume(self) -> None:
        """It does again."""
        self._paused, self.full = False, self._bytes > _TURN_BYTES
        self._go_on()

    def flush(self) -> None:
        """Hand what was sent to the transport."""
        pieces, self._pieces, self._bytes = self._pieces, [], 0
        transport = self._transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            transport.abort()  # it asks and asks, and reads no answer
            return
        if len(pieces) == 1:
            transport.write(pieces[0])
        elif pieces:
            transport.writelines(pieces)
        self.full = self._paused
        if self._waiting:
            self._go_on()

    def _go_on(self) -> None:
        """Let those that wait send, in turn: who has used up the room waits behind all others."""
        while self._waiting and self.window > 0 and not self.full:
            self._waiting.pop(next(iter(self._waiting))).pump()

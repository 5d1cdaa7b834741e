"""Takes what a client sends apart: its preface, then frames."""

from typing import Protocol

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import HEADER, HEADER_BYTES, Broken, ErrorCode

MAX_FRAME_BYTES = 2**20
"""Of a frame that a client sends, without its header."""
_MAX_BLOCK_BYTES = 64 * 1024


class Frames(Protocol):
    """Who is told of the frames. Each of these may raise Broken."""

    def on_data(self, number: int, data: bytes, begin: int, end: int, padding: int, last: bool) -> None:
        """A piece of a stream's data, from ``begin`` to ``end``; ``padding`` bytes came with it."""

    def on_headers(self, number: int, block: bytes, last: bool) -> None:
        """A stream's headers, complete."""

    def on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Any other frame."""


class FrameReader:
    """Reads one connection."""

    def __init__(self, told: Frames) -> None:
        self._told = told
        self._greeted = False
        self._rest, self._needed = bytearray(), 0  # of a frame that is not complete; how much of it is
        self._only: int | None = frames.SETTINGS  # the kind of frame that must come next
        # Of a DATA frame, what is there need not wait for what is not.
        self._left = self._number = self._flags = 0
        self._block: list[bytes] | None = None
        self._block_bytes = 0

    def read(self, data: bytes) -> None:
        """Tell of everything that is complete with ``data``.

        Raises:
            Broken: it is no HTTP/2.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data, self._rest = bytes(self._rest), bytearray()
        position = 0
        if not self._greeted:
            if not frames.PREFACE.startswith(data[: len(frames.PREFACE)]):
                raise Broken(ErrorCode.PROTOCOL_ERROR, "no HTTP/2")
            if len(data) < len(frames.PREFACE):
                self._rest += data
                return
            self._greeted, position = True, len(frames.PREFACE)
        elif self._left:
            position = min(self._left, len(data))
            self._left -= position
            last = not self._left and bool(self._flags & frames.END_STREAM)
            self._told.on_data(self._number, data, 0, position, 0, last)
        position = self._frames(data, position)
        if position < len(data):
            self._rest += memoryview(data)[position:]

    def _frames(self, data: bytes, position: int) -> int:
        """Where the first frame begins that is not complete."""
        end, self._needed = len(data), HEADER_BYTES
        while end - position >= HEADER_BYTES:
            high, low, kind, flags, number = HEADER.unpack_from(data, position)
            size, number, begin = high << 8 | low, number & 0x7FFFFFFF, position + HEADER_BYTES
            if size > MAX_FRAME_BYTES:
                raise Broken(ErrorCode.FRAME_SIZE_ERROR, "a frame is too large")
            if self._only is not None and (kind != self._only or (self._block is not None and number != self._number)):
                raise Broken(ErrorCode.PROTOCOL_ERROR, "settings do not come first, or a header block is interrupted")
            if kind == frames.DATA and not flags & frames.PADDED:
                position = min(begin + size, end)
                self._left = begin + size - position
                self._number, self._flags = number, flags
                last = not self._left and bool(flags & frames.END_STREAM)
                self._told.on_data(number, data, begin, position, 0, last)
                continue
            if end - begin < size:
                self._needed = HEADER_BYTES + size
                break
            position = begin + size
            self._frame(kind, flags, number, data[begin:position])
        return position

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == frames.HEADERS:
            begin, end = _unpadded(flags, payload)
            if flags & frames.WITH_PRIORITY:
                begin += frames.PRIORITY_BYTES
            if begin > end:
                raise Broken(ErrorCode.FRAME_SIZE_ERROR, "headers are too short")
            self._block, self._block_bytes, self._only = [], 0, frames.CONTINUATION
            self._number, self._flags = number, flags
            self._add(payload[begin:end], flags)
        elif kind == frames.CONTINUATION:
            if self._block is None:
                raise Broken(ErrorCode.PROTOCOL_ERROR, "a header block goes on that never began")
            self._add(payload, flags)
        elif kind == frames.DATA:
            begin, end = _unpadded(flags, payload)
            last = bool(flags & frames.END_STREAM)
            self._told.on_data(number, payload, begin, end, len(payload) - (end - begin), last)
        else:
            self._only = None
            self._told.on_frame(kind, flags, number, payload)

    def _add(self, part: bytes, flags: int) -> None:
        assert self._block is not None
        self._block.append(part)
        self._block_bytes += len(part) + HEADER_BYTES  # so that a block of empty frames ends, too
        if self._block_bytes > _MAX_BLOCK_BYTES:
            raise Broken(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large")
        if flags & frames.END_HEADERS:
            block, self._block, self._only = b"".join(self._block), None, None
            self._told.on_headers(self._number, block, bool(self._flags & frames.END_STREAM))


def _unpadded(flags: int, payload: bytes) -> tuple[int, int]:
    """Where the content of a payload begins and ends."""
    if not flags & frames.PADDED:
        return 0, len(payload)
    if not payload or payload[0] >= len(payload):
        raise Broken(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return 1, len(payload) - payload[0]

"""The messages that a client sends in one call, put together from the pieces in which they come."""

import collections
import struct
import zlib

import grpc
import numpy as np

PREFIX = struct.Struct(">BI")
"""Before each message: whether it is compressed, and its length."""
_GZIP = 31
ENCODINGS = {"gzip": _GZIP, "deflate": zlib.MAX_WBITS}
"""How messages may be compressed, beside not at all; as zlib calls it."""
_PIECE_BYTES = 2**16
_WEIGHT_BYTES = 2**6
_FIRST_BYTES, _GROWTH = 2**16, 16


class Refused(Exception):
    """What came ends the call, with this status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Inbox:
    """The messages that nobody has taken yet, in their order."""

    __slots__ = (
        "_bits",
        "_compressed",
        "_filled",
        "_into",
        "_length",
        "_max_bytes",
        "_prefix",
        "_ready",
        "unread_bytes",
    )

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._bits = ENCODINGS.get(encoding)
        self._max_bytes = max_bytes
        self._prefix = b""  # what has come of one
        self._into: memoryview | None = None  # what a message that comes in several pieces is written into
        self._filled = self._length = self._compressed = 0
        self._ready: collections.deque[tuple[int, bytes | memoryview]] = collections.deque()
        self.unread_bytes = 0
        """Of messages that are complete, with what each takes beside its bytes: empty ones take room, too."""

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def in_message(self) -> bool:
        """Whether the last message is not complete."""
        return self._into is not None or bool(self._prefix)

    @property
    def unfinished_bytes(self) -> int:
        """What has come of a message that is not complete."""
        return len(self._prefix) if self._into is None else PREFIX.size + self._filled

    def drop(self) -> None:
        """Forget everything: nobody takes it any more."""
        self._into, self._filled, self._prefix = None, 0, b""
        self._ready.clear()
        self.unread_bytes = 0

    def add(self, data: bytes, begin: int, end: int) -> None:
        """The next piece.

        Raises:
            Refused: a message is too large, or compressed though the headers do not say how.
        """
        if self._into is not None:
            begin = self._fill(data, begin, end)
        while begin < end:
            if self._prefix or end - begin < PREFIX.size:
                begin = self._begin_in_pieces(data, begin, end)
                continue
            compressed, length = PREFIX.unpack_from(data, begin)
            self._check(length)
            begin += PREFIX.size
            if length <= end - begin:  # as nearly always
                self._keep(data[begin : begin + length], compressed)
                begin += length
            else:
                begin = self._begin(compressed, length, data, begin, end)

    def take(self) -> bytes | memoryview:
        """The next message. It is decompressed only now, so that no more than one takes that memory.

        Raises:
            Refused: it is too large, or not compressed in the way that the headers say.
        """
        compressed, raw = self._ready.popleft()
        self.unread_bytes -= len(raw) + _WEIGHT_BYTES
        return self._inflated(raw) if compressed else raw

    def _begin_in_pieces(self, data: bytes, begin: int, end: int) -> int:
        """A prefix of which a part has come; where what follows it begins."""
        until = min(begin + PREFIX.size - len(self._prefix), end)
        self._prefix += data[begin:until]
        if len(self._prefix) < PREFIX.size:
            return until
        (compressed, length), self._prefix = PREFIX.unpack(self._prefix), b""
        self._check(length)
        if length:
            return self._begin(compressed, length, data, until, end)
        self._keep(b"", compressed)
        return until

    def _begin(self, compressed: int, length: int, data: bytes, begin: int, end: int) -> int:
        self._compressed, self._length = compressed, length
        self._into = _memory(min(length, _FIRST_BYTES))
        return self._fill(data, begin, end)

    def _fill(self, data: bytes, begin: int, end: int) -> int:
        """Write down what belongs to the message; where it ends."""
        into, filled = self._into, self._filled
        assert into is not None
        until = min(begin + self._length - filled, end)
        after = filled + until - begin
        if after > len(into):
            # By steps: who announces a large message and does not send it takes no memory.
            larger = _memory(min(self._length, max(_GROWTH * len(into), after)))
            larger[:filled] = into[:filled]
            self._into = into = larger
        into[filled:after] = memoryview(data)[begin:until]
        self._filled = after
        if after == self._length:
            self._into, self._filled = None, 0
            self._keep(into.toreadonly(), self._compressed)
        return until

    def _check(self, length: int) -> None:
        if length > self._max_bytes:
            text = f"Received message larger than max ({length} vs. {self._max_bytes})"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _keep(self, raw: bytes | memoryview, compressed: int) -> None:
        if compressed and (compressed > 1 or self._bits is None):
            raise Refused(grpc.StatusCode.INTERNAL, "A message is compressed, and the headers do not say how.")
        self._ready.append((compressed, raw))
        self.unread_bytes += len(raw) + _WEIGHT_BYTES

    def _inflated(self, raw: bytes | memoryview) -> bytes:
        assert self._bits is not None
        inflate = zlib.decompressobj(self._bits)
        try:
            inflated = inflate.decompress(raw, _PIECE_BYTES)
            self._check(len(inflated))
            if inflate.unconsumed_tail:
                self._check(_inflated_bytes(raw, self._bits, self._max_bytes))
                inflated += inflate.decompress(inflate.unconsumed_tail, self._max_bytes)
        except zlib.error as error:
            raise Refused(grpc.StatusCode.INTERNAL, "A message cannot be decompressed.") from error
        if not inflate.eof or inflate.unused_data:
            raise Refused(grpc.StatusCode.INTERNAL, "A compressed message is not complete, or more than one.")
        return inflated


def _memory(size: int) -> memoryview:
    """Memory that nobody has written to: where none of it is used, it takes none."""
    return np.empty(size, np.uint8).data


def _inflated_bytes(raw: bytes | memoryview, bits: int, most: int) -> int:
    """What it has inflated, as far as it is not more than ``most``. Keeps nothing: a bomb is to take no memory."""
    inflate, size = zlib.decompressobj(bits), 0
    while raw and size <= most:
        size += len(inflate.decompress(raw, _PIECE_BYTES))
        raw = inflate.unconsumed_tail
    return size

"""The messages that a client sends in one call, put together from the pieces in which they come."""

import collections
import struct
import zlib

import grpc

PREFIX = struct.Struct(">BI")
"""Before each message: whether it is compressed, and its length."""
_GZIP = 31
ENCODINGS = {"gzip": _GZIP, "deflate": zlib.MAX_WBITS}
"""How messages may be compressed, beside not at all; as zlib calls it."""
_PIECE_BYTES = 2**16
_WEIGHT_BYTES = 2**6


class Refused(Exception):
    """What came ends the call, with this status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Inbox:
    """The messages that nobody has taken yet, in their order."""

    __slots__ = ("_bits", "_buffer", "_max_bytes", "_ready", "unread_bytes")

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._bits = ENCODINGS.get(encoding)
        self._max_bytes = max_bytes
        self._buffer: bytearray | None = None
        self._ready: collections.deque[tuple[int, bytes | bytearray]] = collections.deque()
        self.unread_bytes = 0
        """Of messages that are complete, with what each takes beside its bytes: empty ones take room, too."""

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def in_message(self) -> bool:
        """Whether the last message is not complete."""
        return self._buffer is not None

    @property
    def unfinished_bytes(self) -> int:
        """What has come of a message that is not complete."""
        return 0 if self._buffer is None else len(self._buffer)

    def drop(self) -> None:
        """Forget everything: nobody takes it any more."""
        self._buffer = None
        self._ready.clear()
        self.unread_bytes = 0

    def add(self, data: bytes, begin: int, end: int) -> None:
        """The next piece.

        Raises:
            Refused: a message is too large, or compressed though the headers do not say how.
        """
        size = end - begin
        if self._buffer is None and size >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(data, begin)
            if length == size - PREFIX.size:  # all of one message, as nearly always
                self._check(length)
                self._keep(data[begin + PREFIX.size : end], compressed)
                return
        if size:
            self._gather(data, begin, end)

    def take(self) -> bytes | bytearray:
        """The next message. It is decompressed only now, so that no more than one takes that memory.

        Raises:
            Refused: it is too large, or not compressed in the way that the headers say.
        """
        compressed, raw = self._ready.popleft()
        self.unread_bytes -= len(raw) + _WEIGHT_BYTES
        return self._inflated(raw) if compressed else raw

    def _gather(self, data: bytes, begin: int, end: int) -> None:
        buffer = self._buffer = bytearray() if self._buffer is None else self._buffer
        buffer += memoryview(data)[begin:end]
        taken = 0
        while len(buffer) - taken >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(buffer, taken)
            self._check(length)
            until = taken + PREFIX.size + length
            if len(buffer) < until:
                break
            if until == len(buffer) and not taken:  # all of one message: large ones are not to be copied again
                del buffer[: PREFIX.size]
                self._keep(buffer, compressed)
                self._buffer = None
                return
            with memoryview(buffer) as view:
                raw = bytes(view[taken + PREFIX.size : until])
            taken = until
            self._keep(raw, compressed)
        if taken == len(buffer):
            self._buffer = None
        else:
            del buffer[:taken]

    def _check(self, length: int) -> None:
        if length > self._max_bytes:
            text = f"Received message larger than max ({length} vs. {self._max_bytes})"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _keep(self, raw: bytes | bytearray, compressed: int) -> None:
        if compressed and (compressed > 1 or self._bits is None):
            raise Refused(grpc.StatusCode.INTERNAL, "A message is compressed, and the headers do not say how.")
        self._ready.append((compressed, raw))
        self.unread_bytes += len(raw) + _WEIGHT_BYTES

    def _inflated(self, raw: bytes | bytearray) -> bytes:
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


def _inflated_bytes(raw: bytes | bytearray, bits: int, most: int) -> int:
    """What it has inflated, as far as it is not more than ``most``. Keeps nothing: a bomb is to take no memory."""
    inflate, size = zlib.decompressobj(bits), 0
    while raw and size <= most:
        size += len(inflate.decompress(raw, _PIECE_BYTES))
        raw = inflate.unconsumed_tail
    return size

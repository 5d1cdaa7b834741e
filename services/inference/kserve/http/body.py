"""Bodies: read within bounds, unpacked within the same bounds, and packed."""

import asyncio
import time
import zlib
from collections.abc import Mapping, Sequence

from starlette.types import Receive

from headwater.errors import Cancelled
from services.inference.errors import InvalidRequest
from services.inference.kserve.http.errors import BodyTimedOut, RequestTooLarge, TooManyRequests, UnknownEncoding

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""zlib's number for each; deflate means the zlib format, as RFC 9110 has it."""
_IN_A_THREAD = 2**18  # zlib lets go of the interpreter, so that larger bodies hold up nobody else
_PACK_FROM = 1024
SILENCE_S = 30.0
"""How long a client may say nothing in the middle of a body."""
_SLOWEST_BYTES_S = 2**18
"""How fast it must be beside that: who sends a byte now and then keeps a place and memory that others want."""
_RETRY_MS = 1000

_LEVEL = 1  # tensors are packed for the wire, not for the shelf


class Room:
    """The memory that the bodies of all requests together may take while they come, in bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.taken_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Take so many more; raises TooManyRequests."""
        if self.taken_bytes + size_bytes > self._max_bytes:
            raise TooManyRequests(retry_after_ms=_RETRY_MS, limit_bytes=self._max_bytes)
        self.taken_bytes += size_bytes

    def leave(self, size_bytes: int) -> None:
        """Give so many back."""
        self.taken_bytes -= size_bytes


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int, room: Room) -> bytes:
    """The body, unpacked.

    Raises:
        RequestTooLarge, UnknownEncoding
        TooManyRequests: the bodies of others take all the room.
        InvalidRequest: it cannot be unpacked.
        BodyTimedOut, Cancelled: the client stopped sending, was too slow, or went away before the end of it.
    """
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if encoding != "identity" and encoding not in _WINDOWS:
        raise UnknownEncoding(encoding=encoding[:64])
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit_bytes:
        raise RequestTooLarge(limit_bytes=limit_bytes, size_bytes=int(length))
    packed = await _receive(receive, limit_bytes, room)
    if encoding == "identity":
        return packed
    if len(packed) < _IN_A_THREAD // 16:
        return _unpack(packed, encoding, limit_bytes)
    return await asyncio.to_thread(_unpack, packed, encoding, limit_bytes)


async def packed(parts: Sequence[bytes], accepted: str) -> tuple[Sequence[bytes], str]:
    """``parts`` as a client that accepts these encodings wants them, and which it is; empty for as they are."""
    encoding = _chosen(accepted)
    size = sum(map(len, parts))
    if not encoding or size < _PACK_FROM:
        return parts, ""
    if size < _IN_A_THREAD:
        return [_pack(parts, encoding)], encoding
    return [await asyncio.to_thread(_pack, parts, encoding)], encoding


async def _receive(receive: Receive, limit_bytes: int, room: Room) -> bytes:
    chunks, size, more = [], 0, True
    begun = time.monotonic()
    try:
        while more:
            left_s = begun + SILENCE_S + size / _SLOWEST_BYTES_S - time.monotonic()
            try:
                async with asyncio.timeout(min(left_s, SILENCE_S)):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTimedOut(after_s=f"{time.monotonic() - begun:.0f}") from error
            if message["type"] == "http.disconnect":
                raise Cancelled()
            chunk = message.get("body", b"")
            if size + len(chunk) > limit_bytes:
                raise RequestTooLarge(limit_bytes=limit_bytes)
            room.take(len(chunk))
            size += len(chunk)
            chunks.append(chunk)
            more = message.get("more_body", False)
    finally:
        room.leave(size)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unpack(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_WINDOWS[encoding])
    try:
        content = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise InvalidRequest(f"The body is not {encoding}.") from error
    if len(content) > limit_bytes:
        raise RequestTooLarge(limit_bytes=limit_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidRequest(f"The body is not one whole stream of {encoding}.")
    return content


def _pack(parts: Sequence[bytes], encoding: str) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[encoding])
    return b"".join([*(packer.compress(part) for part in parts), packer.flush()])


def _chosen(accepted: str) -> str:
    """The encoding of ours that is accepted with the highest weight."""
    best, chosen = 0.0, ""
    for each in accepted.split(","):
        name, _, parameters = each.strip().lower().partition(";")
        name = name.strip()
        if name not in _WINDOWS:
            continue
        weight = _weight(parameters)
        if weight > best:
            best, chosen = weight, name
    return chosen


def _weight(parameters: str) -> float:
    name, _, value = parameters.replace(" ", "").partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0

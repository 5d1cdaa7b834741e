"""WebP (RFC 9649)."""

import struct

from services.dataset.profiles.images.header import Header, Unreadable, check

MAGIC = b"RIFF"
KIND = b"WEBP"
"""Stands eight bytes behind."""

_ALPHA = 0x10


def read(data: memoryview) -> Header:
    """See Reader."""
    (size,) = struct.unpack_from("<I", data, 4)
    check(size + 8 <= len(data))
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[place : place + 3], "little") for place in (24, 27))
        check(len(data) >= 30)
        return Header("WEBP", width, height, "RGBA" if data[20] & _ALPHA else "RGB")
    if kind == b"VP8L":
        check(data[20] == 0x2F)
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        return Header("WEBP", width, height, "RGBA" if bits >> 28 & 1 else "RGB")
    if kind == b"VP8 ":
        check(bytes(data[23:26]) == b"\x9d\x01\x2a")
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        check(width > 0 and height > 0)
        return Header("WEBP", width, height, "RGB")
    raise Unreadable

"""PNG (ISO/IEC 15948)."""

import struct
import zlib

from services.dataset.profiles.images.header import Header, check, ends_with

MAGIC = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xae\x42\x60\x82"
_COLOURS = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_GREY = {1: "1", 16: "I;16"}


def read(data: memoryview) -> Header:
    """See Reader."""
    length, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    check((length, kind) == (13, b"IHDR") and colour in _COLOURS and depth in (1, 2, 4, 8, 16))
    check(struct.unpack_from(">I", data, 29)[0] == zlib.crc32(data[12:29]))
    check(0 < width < 2**31 and 0 < height < 2**31)
    check(ends_with(data, _END, 33))
    return Header("PNG", width, height, _GREY.get(depth, "L") if colour == 0 else _COLOURS[colour])

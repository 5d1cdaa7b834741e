"""GIF, BMP and netpbm (PBM, PGM, PPM): formats whose first bytes say it all."""

import re
import struct

from services.dataset.profiles.images.header import Header, Unreadable, check

GIF_MAGIC = (b"GIF87a", b"GIF89a")
BMP_MAGIC = b"BM"
NETPBM_MAGIC = tuple(b"P%d" % kind for kind in range(1, 7))

_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_BMP_COLOURS = {1: "P", 4: "P", 8: "P", 16: "RGB", 24: "RGB", 32: "RGB"}
_UNCOMPRESSED = (0, 3)

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NETPBM = re.compile(
    rb"P([14])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})\s|" rb"P([2356])" + (_GAP + rb"(\d{1,9})") * 3 + rb"\s"
)
_NETPBM_HEADER_BYTES = 1024
_NETPBM_COLOURS = {1: "1", 2: "L", 3: "RGB"}


def read_gif(data: memoryview) -> Header:
    """See Reader."""
    width, height = struct.unpack_from("<HH", data, 6)
    check(width > 0 and height > 0)
    check(bytes(data[-64:]).rstrip(b"\0").endswith(b";"))
    return Header("GIF", width, height, "P")


def read_bmp(data: memoryview) -> Header:
    """See Reader."""
    offset, size = struct.unpack_from("<II", data, 10)
    check(size in _BMP_HEADERS)
    if size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative: the rows are stored from the top
    check(width > 0 and height > 0 and depth in _BMP_COLOURS)
    if compression in _UNCOMPRESSED:
        check(offset + (width * depth + 31) // 32 * 4 * height <= len(data))
    return Header("BMP", width, height, _BMP_COLOURS[depth])


def read_netpbm(data: memoryview) -> Header:
    """See Reader."""
    match = _NETPBM.match(bytes(data[:_NETPBM_HEADER_BYTES]))
    if match is None:
        raise Unreadable
    if match[1]:
        kind, width, height, most = int(match[1]), int(match[2]), int(match[3]), 1
    else:
        kind, width, height, most = (int(match[group]) for group in (4, 5, 6, 7))
    channels = (kind - 1) % 3 + 1
    check(width > 0 and height > 0 and 0 < most < 65536)
    bits = 1 if channels == 1 else (8 if most < 256 else 16) * (3 if channels == 3 else 1)
    # As text (the first three kinds), a pixel's channel takes one character at least.
    least = height * ((width * bits + 7) // 8) if kind > 3 else width * height * (3 if channels == 3 else 1)
    check(match.end() + least <= len(data))
    return Header("PPM", width, height, _NETPBM_COLOURS[channels])

"""JPEG (ITU-T T.81)."""

import struct

from services.dataset.profiles.images.header import Header, Unreadable, check, ends_with

MAGIC = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, b"\xff\xd9"
_COLOURS = {1: "L", 3: "RGB", 4: "CMYK"}
_MAX_SEGMENTS = 4096
"""Real files have a few dozen before their frame."""


def read(data: memoryview) -> Header:
    """See Reader."""
    frame: Header | None = None
    place = 2
    for _ in range(_MAX_SEGMENTS):
        check(data[place] == 0xFF)
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        check(length >= 2)
        if marker in _FRAMES:
            frame = _frame(data, place + 4)
        if marker == _SCAN:
            break
        place += 2 + length
    if frame is None:
        raise Unreadable
    check(ends_with(data, _END, place))
    return frame


def _frame(data: memoryview, place: int) -> Header:
    height, width, components = struct.unpack_from(">HHB", data, place + 1)
    check(height > 0 and width > 0 and components in _COLOURS)
    return Header("JPEG", width, height, _COLOURS[components])

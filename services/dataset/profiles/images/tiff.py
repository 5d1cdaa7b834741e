"""TIFF 6.0: the first image of a file."""

import struct

import numpy as np

from services.dataset.profiles.images.header import Header, check

LITTLE, BIG = b"II\x2a\0", b"MM\0\x2a"

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_NEEDED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES},
)
_WIDTHS = {3: ("u2", 2), 4: ("u4", 4)}
"""The types SHORT and LONG, which these fields have."""
_COLOURS = {2: "RGB", 3: "P", 5: "CMYK", 6: "YCbCr", 8: "LAB"}
_GREY = {1: "1", 16: "I;16", 32: "I"}


def read(data: memoryview) -> Header:
    """See Reader."""
    order = "<" if bytes(data[:4]) == LITTLE else ">"
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    fields: dict[int, list[int]] = {}
    for number in range(count):
        entry = place + 2 + 12 * number
        (tag,) = struct.unpack_from(f"{order}H", data, entry)
        if tag in _NEEDED:
            fields[tag] = _values(data, entry, order)
    check({_WIDTH, _HEIGHT}.issubset(fields))
    width, height = fields[_WIDTH][0], fields[_HEIGHT][0]
    check(width > 0 and height > 0)
    places = fields.get(_STRIPS) or fields.get(_TILES, [])
    sizes = fields.get(_STRIP_BYTES) or fields.get(_TILE_BYTES, [])
    check(bool(places) and len(places) == len(sizes))
    check(max(place + size for place, size in zip(places, sizes, strict=True)) <= len(data))
    return Header("TIFF", width, height, _colour_space(fields))


def _values(data: memoryview, entry: int, order: str) -> list[int]:
    kind, count = struct.unpack_from(f"{order}HI", data, entry + 2)
    check(kind in _WIDTHS)
    name, width = _WIDTHS[kind]
    place = entry + 8 if count * width <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
    check(count > 0 and place + count * width <= len(data))
    return [int(value) for value in np.frombuffer(data, f"{order}{name}", count, place)]


def _colour_space(fields: dict[int, list[int]]) -> str:
    bits, samples = fields.get(_BITS, [1])[0], fields.get(_SAMPLES, [1])[0]
    photometric = fields.get(_PHOTOMETRIC, [1])[0]
    if photometric in (0, 1):
        return "LA" if samples == 2 else _GREY.get(bits, "L")
    if photometric == 2 and samples == 4:
        return "RGBA"
    return _COLOURS.get(photometric, "other")

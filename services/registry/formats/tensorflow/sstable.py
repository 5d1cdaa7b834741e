"""Reads a LevelDB table (https://github.com/google/leveldb/blob/main/doc/table_format.md), as TensorFlow writes its
index of variables: sorted keys with values, in blocks with a checksum each.

    blocks of entries   (shared, unshared and value's length, each a varint; key's rest; value)*; restarts; their count
    after each block    1 byte: how it is compressed; 4 bytes: masked CRC-32C
    block of the blocks last key -> place of a block
    48 bytes            places of two blocks, filled up, and a magic number
"""

from collections.abc import Iterator
from typing import NamedTuple

from services.registry.formats.content import Content
from services.registry.formats.tensorflow.crc32c import crc32c, masked

FOOTER_BYTES = 48
MAX_BYTES = 16 * 2**20
MAX_ENTRIES = 250_000
_MAX_KEY = 4096
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_TRAILER_BYTES = 5


class BadTable(ValueError):
    """The table breaks a rule of the format, or a checksum is wrong; the text says which."""


class _Place(NamedTuple):
    begin: int
    size: int


def ends_like_it(content: Content) -> bool:
    """Whether the content ends with a table's magic number."""
    return content.size >= FOOTER_BYTES and bytes(content.read(content.size - 8, 8)) == _MAGIC


def entries(content: Content) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in the order of the keys. The table is read whole, for it holds no weights.

    Raises:
        BadTable
    """
    if content.size > MAX_BYTES:
        raise BadTable(f"it has {content.size} bytes, more than the {MAX_BYTES} that an index can need")
    footer = bytes(content.read(content.size - FOOTER_BYTES, FOOTER_BYTES))
    _, position = _place(footer, 0)
    index, _ = _place(footer, position)
    end, before, count = 0, None, 0
    for _, raw in _block(content, index):
        place, _ = _place(raw, 0)
        if place.begin < end:
            raise BadTable("blocks overlap, or are not in order")
        end = place.begin + place.size
        for key, value in _block(content, place):
            count += 1
            if count > MAX_ENTRIES:
                raise BadTable(f"it has more than {MAX_ENTRIES} entries")
            if before is not None and key <= before:
                raise BadTable("keys are not in order")
            before = key
            yield key, value


def _block(content: Content, place: _Place) -> Iterator[tuple[bytes, bytes]]:
    if place.begin + place.size + _TRAILER_BYTES > content.size - FOOTER_BYTES:
        raise BadTable("a block lies outside of the file")
    raw = bytes(content.read(place.begin, place.size + _TRAILER_BYTES))
    block, compression = raw[: place.size], raw[place.size]
    if compression:
        raise BadTable("a block is compressed, which TensorFlow never does")
    if masked(crc32c(raw[: place.size + 1])) != int.from_bytes(raw[-4:], "little"):
        raise BadTable("the checksum of a block is wrong")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if len(block) < 4 or end < 0:
        raise BadTable("a block is malformed")
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        unshared, position = _varint(block, position)
        size, position = _varint(block, position)
        if shared > len(key) or shared + unshared > _MAX_KEY or position + unshared + size > end:
            raise BadTable("an entry is malformed, or its key is too long")
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + size]
        position += size


def _place(raw: bytes, position: int) -> tuple[_Place, int]:
    begin, position = _varint(raw, position)
    size, position = _varint(raw, position)
    return _Place(begin, size), position


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in raw[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise BadTable("a number does not end")

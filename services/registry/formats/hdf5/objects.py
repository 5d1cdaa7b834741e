"""Reads object headers (HDF5 File Format Specification 3.0, IV.A): what describes a group or a dataset, as messages."""

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from services.registry.formats.hdf5.source import BadHdf5, Cursor, Source

_MAX_MESSAGES = 100_000
_MAX_BLOCKS = 10_000
_MAX_HEADER_BYTES = 16 * 2**20
_CONTINUED = 0x10
_SHARED = 2  # a flag: the message lies elsewhere
_FIRST1 = struct.Struct("<BxHIIxxxx")


class Message(NamedTuple):
    """One message: its kind and its bytes; ``shared`` if these only say where it lies."""

    kind: int
    content: bytes
    shared: bool


class Kind(enum.IntEnum):
    """The messages that are looked at."""

    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    LINK = 0x06
    EXTERNAL_FILES = 0x07
    LAYOUT = 0x08
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    SYMBOL_TABLE = 0x11
    ATTRIBUTE_INFO = 0x15


_KINDS = frozenset(map(int, Kind))


def read_messages(source: Source, address: int) -> list[Message]:
    """The messages of the object whose header is at ``address``.

    Raises:
        BadHdf5
    """
    messages: list[Message] = []
    for message in _modern(source, address) if source.read(address, 4) == b"OHDR" else _plain(source, address):
        source.spend()
        if message.kind in _KINDS:
            messages.append(message)
        if len(messages) > _MAX_MESSAGES:
            raise BadHdf5(f"an object has more than {_MAX_MESSAGES} messages")
    return messages


def _plain(source: Source, address: int) -> Iterator[Message]:
    """Of a header of version 1."""
    version, count, _, size = source.unpack(_FIRST1, address)
    if version != 1:
        raise BadHdf5("an object's header is of no known version")
    blocks, left = [(address + _FIRST1.size, size)], _MAX_HEADER_BYTES
    for begin, length in blocks:
        left = _check(blocks, left - length)
        cursor = Cursor(source.read(begin, length))
        while cursor.left >= 8 and count:
            kind, length, flags, _ = (cursor.number(each) for each in (2, 2, 1, 3))
            content, count = cursor.bytes(length), count - 1
            if kind == _CONTINUED:
                blocks.append(_place(content))
            else:
                yield Message(kind, content, bool(flags & _SHARED))
    if count:
        raise BadHdf5("an object has fewer messages than it says")


def _modern(source: Source, address: int) -> Iterator[Message]:
    """Of a header of version 2."""
    version, flags = source.read(address + 4, 2)
    if version != 2:
        raise BadHdf5("an object's header is of no known version")
    position = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    size_bytes = 1 << (flags & 3)
    size = int.from_bytes(source.read(position, size_bytes), "little")
    ordered = 2 if flags & 4 else 0
    blocks, left = [(position + size_bytes, size)], _MAX_HEADER_BYTES
    for number, (begin, length) in enumerate(blocks):
        left = _check(blocks, left - length)
        content = source.read(begin, length)
        if number:  # the blocks that follow have a signature and a checksum of their own
            if content[:4] != b"OCHK" or length < 8:
                raise BadHdf5("an object's header goes on where there is none")
            content = content[4:-4]
        cursor = Cursor(content)
        while cursor.left >= 4 + ordered:
            kind, length, said, _ = (cursor.number(each) for each in (1, 2, 1, ordered))
            message = cursor.bytes(length)
            if kind == _CONTINUED:
                blocks.append(_place(message))
            else:
                yield Message(kind, message, bool(said & _SHARED))


def _place(content: bytes) -> tuple[int, int]:
    cursor = Cursor(content)
    return cursor.number(8), cursor.number(8)


def _check(blocks: list[tuple[int, int]], left: int) -> int:
    if len(blocks) > _MAX_BLOCKS or left < 0:
        raise BadHdf5(f"an object's header has more than {_MAX_HEADER_BYTES} bytes, or is in too many parts")
    return left

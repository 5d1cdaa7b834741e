"""Reads what is in a group: names, and where the objects are (specification, III.A, III.C, III.D, IV.A).

Groups of old files have a tree of symbol tables with the names in a heap; of new ones, a message for each link. New
groups with many links keep them in another kind of heap, which is not read.
"""

import dataclasses
import struct
from collections.abc import Iterator

from services.registry.formats.hdf5.objects import Kind, Message
from services.registry.formats.hdf5.source import UNDEFINED, BadHdf5, Cursor, Source

_MAX_HEAP_BYTES = 16 * 2**20
_MAX_DEPTH = 16
_MAX_NAME = 1024
_HARD, _SOFT, _EXTERNAL = 0, 1, 64
_HEAP = struct.Struct("<4sBxxxQQQ")
_NODE = struct.Struct("<4sBBHQQ")
_ENTRY = struct.Struct("<QQII16x")


@dataclasses.dataclass(slots=True)
class Links:
    """The objects of a group by name, in the order of the file; names of what is in other files; and whether there is
    more that was not read."""

    objects: dict[str, int] = dataclasses.field(default_factory=dict)
    external: list[str] = dataclasses.field(default_factory=list)
    unread: bool = False

    def add(self, name: str, address: int) -> None:
        """Add an object."""
        if name in self.objects:
            raise BadHdf5(f"{name[:255]!r} is twice in a group")
        self.objects[name] = address


def read_links(source: Source, messages: list[Message]) -> Links:
    """What the messages of a group say.

    Raises:
        BadHdf5
    """
    links = Links()
    for message in messages:
        if message.shared and message.kind in (Kind.LINK, Kind.LINK_INFO, Kind.SYMBOL_TABLE):
            links.unread = True
        elif message.kind == Kind.SYMBOL_TABLE:
            _read_table(source, Cursor(message.content), links)
        elif message.kind == Kind.LINK:
            _read_link(Cursor(message.content), links)
        elif message.kind == Kind.LINK_INFO:
            cursor = Cursor(message.content)
            _, flags = cursor.number(1), cursor.number(1)
            cursor.bytes(8 if flags & 1 else 0)
            links.unread |= cursor.number(8) != UNDEFINED
    return links


def _read_link(cursor: Cursor, links: Links) -> None:
    if cursor.number(1) != 1:
        raise BadHdf5("a link is of no known version")
    flags = cursor.number(1)
    kind = cursor.number(1) if flags & 8 else _HARD
    cursor.bytes((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
    name = _text(cursor.bytes(cursor.number(1 << (flags & 3))))
    if kind == _HARD:
        links.add(name, cursor.number(8))
    elif kind != _SOFT:
        links.external.append(name)


def _read_table(source: Source, cursor: Cursor, links: Links) -> None:
    tree, heap_address = cursor.number(8), cursor.number(8)
    signature, version, size, _, data = _HEAP.unpack(source.read(heap_address, _HEAP.size))
    if signature != b"HEAP" or version or size > _MAX_HEAP_BYTES:
        raise BadHdf5("the names of a group are not where they should be, or are too many")
    heap = source.read(data, size)
    for table in _tables(source, tree, _MAX_DEPTH):
        signature, version, count = struct.unpack("<4sBxH", source.read(table, 8))
        if signature != b"SNOD" or version != 1:
            raise BadHdf5("a symbol table is not where it should be")
        for name_at, address, cached, _ in _ENTRY.iter_unpack(source.read(table + 8, count * _ENTRY.size)):
            if cached != 2:  # 2: the name of another name in this file
                source.spend()
                end = heap.find(b"\0", name_at, name_at + 4 * _MAX_NAME)
                links.add(_text(heap[name_at:end] if end >= 0 else b""), address)


def _tables(source: Source, address: int, most: int) -> Iterator[int]:
    """The symbol tables below a node of the tree; each level is one lower than the one above."""
    signature, kind, level, count, _, _ = _NODE.unpack(source.read(address, _NODE.size))
    if signature != b"TREE" or kind or level >= most:
        raise BadHdf5("a tree of names is not where it should be, or too deep")
    children = struct.unpack(f"<{2 * count}Q", source.read(address + _NODE.size, 16 * count))[1::2]
    for child in children:
        if level:
            yield from _tables(source, child, level)
        else:
            yield child


def _text(raw: bytes) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise BadHdf5("a name is not UTF-8") from error
    if not name or "\0" in name or "/" in name or len(name) > _MAX_NAME:
        raise BadHdf5("a name is empty, too long, or has characters that no name may have")
    return name

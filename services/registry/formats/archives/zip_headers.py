"""Compares the header and the trailer that each member of a zip has of its own with what the directory says."""

import struct

from services.registry.formats.archives.zip_directory import Entry, invalid, large_form
from services.registry.formats.content import Content

_HEADER = struct.Struct("<4s5H3L2H")
_SIZES_FOLLOW = 8  # a flag: the header was written before the sizes were known; a trailer says them
_COMPARED_FLAGS = 0x869  # UTF-8, strong encryption, patched, sizes follow, encrypted
_TRAILER_MAGIC = b"PK\7\x08"
# By how many bytes follow the member's own: CRC and two sizes, of 32 or 64 bits, with a magic number or without.
_TRAILERS = {
    16: struct.Struct("<4xLLL"),
    24: struct.Struct("<4xLQQ"),
    12: struct.Struct("<LLL"),
    20: struct.Struct("<LQQ"),
}
_MAX32 = 0xFFFFFFFF


def data_begin(content: Content, entry: Entry, limit: int) -> int:
    """Where the member's bytes begin.

    Raises:
        InvalidModelFile: its header differs from the directory, or its bytes would end after ``limit``.
    """
    name_begin = entry.header + _HEADER.size
    if name_begin + len(entry.raw_name) > limit:
        raise invalid(f"{entry.name!r} lies outside of the file")
    raw = content.read(entry.header, _HEADER.size + len(entry.raw_name))
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _HEADER.unpack_from(raw)
    if magic != b"PK\3\4" or name_bytes != len(entry.raw_name) or bytes(raw[_HEADER.size :]) != entry.raw_name:
        raise invalid(f"{entry.name!r} has another name, or none, where its bytes are")
    if method != entry.method or (flags ^ entry.flags) & _COMPARED_FLAGS:
        raise invalid(f"{entry.name!r} is packed otherwise where its bytes are")
    begin: int = name_begin + name_bytes + extra_bytes
    if begin + entry.packed_size > limit:
        raise invalid(f"{entry.name!r} lies outside of the file")
    if _MAX32 in (size, packed):
        extra = bytes(content.read(name_begin + name_bytes, extra_bytes))
        size, packed = large_form(extra, (size, packed))
    said, known = (size, packed, crc), (entry.size, entry.packed_size, entry.crc)
    if said != known and not (flags & _SIZES_FOLLOW and all(n in (0, k) for n, k in zip(said, known, strict=True))):
        raise invalid(f"{entry.name!r} has another size or CRC where its bytes are")
    return begin


def check_end(content: Content, entry: Entry, begin: int, until: int) -> None:
    """Go on if the member's bytes, and its trailer if it has one, end where the next member begins.

    Raises:
        InvalidModelFile: other bytes lie between, it overlaps the next member, or its trailer is not what the directory
            says.
    """
    end = begin + entry.packed_size
    if end > until:
        raise invalid(f"{entry.name!r} overlaps another")
    if end == until and not entry.flags & _SIZES_FOLLOW:
        return
    form = _TRAILERS.get(until - end)
    if form is None or not entry.flags & _SIZES_FOLLOW:
        raise invalid(f"bytes that belong to no member follow {entry.name!r}")
    raw = bytes(content.read(end, form.size))
    marked = form.size in (16, 24)
    if form.unpack(raw) != (entry.crc, entry.packed_size, entry.size) or (marked and raw[:4] != _TRAILER_MAGIC):
        raise invalid(f"{entry.name!r} has another size or CRC after its bytes")

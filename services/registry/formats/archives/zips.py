"""Reads zip archives (PKWARE's APPNOTE 6.3.10), by range and strictly: every reader must see the same members.

The directory at the end says which members there are, and each member has a header of its own that says it again.
Readers disagree on which to believe, and on archives with two directories, with overlaps or with bytes between members;
whoever checks a file then checks another one than is used. So everything is compared, and what is not said twice alike
is refused.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from services.registry.formats.archives import zip_directory, zip_headers
from services.registry.formats.archives.zip_directory import Entry, invalid
from services.registry.formats.content import Content, PartOf

_STEP = 65_536
_BLOCK_HEAD_BYTES = 1024  # what deflate says of a block before its bytes is far less


class Member(NamedTuple):
    """A file within a zip.

    Attributes:
        compressed: whether its bytes are deflated; otherwise they lie in the archive as they are.
        begin, packed_size: where its bytes are, and how many, as the archive holds them.
        size, crc: of its content, as the archive says.
    """

    name: str
    compressed: bool
    begin: int
    packed_size: int
    size: int
    crc: int


class Zip:
    """An archive whose directory holds (see :func:`open_zip`)."""

    def __init__(self, content: Content, members: Mapping[str, Member]) -> None:
        self._content = content
        self.members = members

    def read(self, name: str, limit: int) -> bytes:
        """The member's content, checked against its CRC.

        Raises:
            KeyError: there is no such member.
            InvalidModelFile: it has more than ``limit`` bytes, cannot be decompressed, or is not what the CRC says.
        """
        member = self.members[name]
        if member.size > limit:
            raise invalid(f"{name!r} has {member.size} bytes, more than the {limit} that are read of it")
        packed = self._content.read(member.begin, member.packed_size)
        content = _inflated(member, packed) if member.compressed else bytes(packed)
        if zlib.crc32(content) != member.crc:
            raise invalid(f"{name!r} is not what its CRC says")
        return content

    def beginning(self, name: str, most: int) -> bytes:
        """The first bytes of the member, ``most`` at most, not checked.

        Raises:
            KeyError: there is no such member.
            InvalidModelFile: it cannot be decompressed, or only after blocks of nothing.
        """
        member = self.members[name]
        packed = bytes(self._content.read(member.begin, min(member.packed_size, most + _BLOCK_HEAD_BYTES)))
        if not member.compressed:
            return packed[:most]
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
        except zlib.error as error:
            raise invalid(f"{name!r} cannot be decompressed") from error
        if len(content) < min(most, member.size):
            raise invalid(f"{name!r} does not decompress to what it begins with")
        return content

    def part(self, name: str) -> Content:
        """The content of a member that is not compressed, in place; its CRC is not checked.

        Raises:
            KeyError: there is no such member.
            InvalidModelFile: it is compressed.
        """
        member = self.members[name]
        if member.compressed:
            raise invalid(f"{name!r} is compressed where it must not be")
        return PartOf(self._content, member.begin, member.size)


def begins_like_it(content: Content) -> bool:
    """Whether the content begins with a member's header, or is an archive of nothing."""
    return content.size >= 22 and bytes(content.read(0, 4)) in (b"PK\3\4", b"PK\5\6")


def open_zip(content: Content) -> Zip:
    """The archive's members, in the order of the bytes; folders are left out.

    Raises:
        InvalidModelFile: it is not exactly a zip, or one that readers could understand in several ways.
    """
    directory = zip_directory.read(content)
    entries = sorted(directory.entries, key=lambda entry: entry.header)
    ends = [*(entry.header for entry in entries), directory.begin]
    if ends[0]:
        raise invalid("it does not begin with a member")
    members: dict[str, Member] = {}
    for entry, until in zip(entries, ends[1:], strict=True):
        begin = zip_headers.data_begin(content, entry, directory.begin)
        zip_headers.check_end(content, entry, begin, until)
        if not entry.is_folder:
            members[entry.name] = _member(entry, begin)
    return Zip(content, members)


def _member(entry: Entry, begin: int) -> Member:
    return Member(entry.name, entry.compressed, begin, entry.packed_size, entry.size, entry.crc)


def _inflated(member: Member, packed: memoryview) -> bytes:
    """The deflated bytes, decompressed in steps, so that a wrong size cannot cost more memory than it says."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content, waiting = bytearray(), bytes(packed)
    try:
        while len(content) <= member.size and not inflater.eof:
            step = inflater.decompress(waiting, min(_STEP, member.size + 1 - len(content)))
            waiting = inflater.unconsumed_tail
            if not step and not waiting:
                break
            content += step
    except zlib.error as error:
        raise invalid(f"{member.name!r} cannot be decompressed") from error
    if not inflater.eof or inflater.unused_data or len(content) != member.size:
        raise invalid(f"{member.name!r} does not decompress to the {member.size} bytes that it should have")
    return bytes(content)

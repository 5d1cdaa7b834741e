"""Finds and reads the directory at a zip's end (APPNOTE 4.3.12 to 4.3.16)."""

import dataclasses
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.registry.formats.archives.names import BadName, check_names
from services.registry.formats.content import Content
from services.registry.formats.facts import InvalidModelFile

MAX_MEMBERS = 150_000
MAX_DIRECTORY_BYTES = 32 * 2**20
_MAX_COMMENT = 65_535
_END, _END64, _LOCATOR64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LENGTHS, _LENGTHS_AT = struct.Struct("<3H"), 28
_END_MAGIC = b"PK\5\6"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _PATCHED, _STRONG, _MASKED = 1, 0x20, 0x40, 0x2000
_UTF8 = 0x800
_ZIP64, _UNICODE_PATH = 1, 0x7075
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_NOTHING_DEFLATED = 2  # how many bytes that takes: Python deflates folders too
_MAX_RATIO = 1032  # the most that deflate can reach
_MAX_GROWTH, _MAX_GROWN_BYTES = 1.125, 1024  # deflate adds five bytes to a block, and writers end blocks now and then


class Entry(NamedTuple):
    """What the directory says of a member; ``raw_name`` is its name's bytes, ``header`` where its own header begins."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    header: int
    packed_size: int
    size: int
    crc: int

    @property
    def compressed(self) -> bool:
        """Whether its bytes are deflated."""
        return self.method == _DEFLATED

    @property
    def is_folder(self) -> bool:
        """Whether it only says that a folder exists."""
        return self.name.endswith("/")


@dataclasses.dataclass(frozen=True, slots=True)
class Directory:
    """The entries as the directory lists them, and where it begins."""

    entries: Sequence[Entry]
    begin: int


def invalid(what: str) -> InvalidModelFile:
    """The archive breaks a rule, or could be understood in several ways."""
    return InvalidModelFile(f"Not a valid zip file: {what}.", format="zip")


def read(content: Content) -> Directory:
    """The directory.

    Raises:
        InvalidModelFile: there is none or more than one, or an entry breaks a rule.
    """
    raw, count, begin = _found(content)
    entries, position = [], 0
    while position < len(raw):
        entry, position = _entry(raw, position)
        entries.append(entry)
        if len(entries) > count:
            break
    if len(entries) != count:
        raise invalid(f"the directory does not have the {count} members that it should")
    try:
        check_names(entry.name for entry in entries)
    except BadName as error:
        raise invalid(str(error)) from error
    return Directory(entries, begin)


def raw_names(content: Content) -> Iterator[bytes]:
    """The names in the directory, as far as it can be gone through, without a look at anything else in it: quick.

    Raises:
        InvalidModelFile: there is no directory, or more than one.
    """
    raw, _, _ = _found(content)
    position = 0
    while len(raw) - position >= _ENTRY.size:
        name_bytes, extra_bytes, comment_bytes = _LENGTHS.unpack_from(raw, position + _LENGTHS_AT)
        name_begin = position + _ENTRY.size
        yield raw[name_begin : name_begin + name_bytes]
        position = name_begin + name_bytes + extra_bytes + comment_bytes


def _found(content: Content) -> tuple[bytes, int, int]:
    """The directory's bytes, how many entries it should have, and where it begins."""
    count, size, begin, end = _place(content)
    if count > MAX_MEMBERS or size > MAX_DIRECTORY_BYTES:
        raise invalid(f"it has {count} members in a directory of {size} bytes; {MAX_MEMBERS} are read at most")
    if begin + size != end:
        raise invalid("the directory does not end where what points at it begins")
    return bytes(content.read(begin, size)), count, begin


def _place(content: Content) -> tuple[int, int, int, int]:
    """How many entries the directory has and how many bytes, where it begins, and where what points at it begins."""
    tail_begin = max(0, content.size - _MAX_COMMENT - _END.size)
    tail = bytes(content.read(tail_begin, content.size - tail_begin))
    found = tail.rfind(_END_MAGIC)
    if found < 0 or len(tail) - found < _END.size:
        raise invalid("it has no directory")
    _, disk, first_disk, here, count, size, begin, comment = _END.unpack_from(tail, found)
    if found + _END.size + comment != len(tail):
        raise invalid("bytes follow its end")
    if _is_also_an_end(tail, found):
        raise invalid("it has two ends")
    end = tail_begin + found
    said = (disk, first_disk, here, count, size, begin)
    locator = end - _LOCATOR64.size
    if locator >= 0 and bytes(content.read(locator, 4)) == b"PK\6\7":
        return _place64(content, locator, said)
    if (_MAX16 in said[:4] or _MAX32 in said[4:]) or disk or first_disk or here != count:
        raise invalid("it is part of an archive over several files, or its large form is incomplete")
    return count, size, begin, end


def _is_also_an_end(tail: bytes, last: int) -> bool:
    """Whether an earlier place in the tail could be the end just as well, all that follows being its comment."""
    position = tail.find(_END_MAGIC)
    while position < last:
        if int.from_bytes(tail[position + 20 : position + 22], "little") == len(tail) - position - _END.size:
            return True
        position = tail.find(_END_MAGIC, position + 1)
    return False


def _place64(content: Content, locator: int, said: tuple[int, ...]) -> tuple[int, int, int, int]:
    _, disk, end64, disks = _LOCATOR64.unpack(content.read(locator, _LOCATOR64.size))
    if disk or disks > 1 or end64 + _END64.size != locator:
        raise invalid("its large form is not where it should be")
    magic, size_left, _, _, *said64 = _END64.unpack(content.read(end64, _END64.size))
    if magic != b"PK\6\6" or size_left != _END64.size - 12:
        raise invalid("its large form is damaged")
    limits = (_MAX16, _MAX16, _MAX16, _MAX16, _MAX32, _MAX32)
    if any(short not in (long, limit) for short, long, limit in zip(said, said64, limits, strict=True)):
        raise invalid("its two ends contradict each other")
    disk, first_disk, here, count, size, begin = said64
    if disk or first_disk or here != count:
        raise invalid("it is part of an archive over several files")
    return count, size, begin, end64


def _entry(raw: bytes, position: int) -> tuple[Entry, int]:
    if len(raw) - position < _ENTRY.size:
        raise invalid("the directory is cut off")
    magic, _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes, comment_bytes, disk, _, _, header = (
        _ENTRY.unpack_from(raw, position)
    )
    name_end = position + _ENTRY.size + name_bytes
    extra_end = name_end + extra_bytes
    end = extra_end + comment_bytes
    if magic != b"PK\1\2" or end > len(raw):
        raise invalid("the directory is damaged")
    raw_name = raw[position + _ENTRY.size : name_end]
    name = _text(raw_name, flags)
    if flags & (_ENCRYPTED | _PATCHED | _STRONG | _MASKED) or method not in (_STORED, _DEFLATED) or disk:
        raise invalid(f"{name[:255]!r} is encrypted, patched, elsewhere, or compressed by a method that is not read")
    if extra_bytes or _MAX32 in (size, packed, header):
        size, packed, header = large_form(raw[name_end:extra_end], (size, packed, header))
    entry = Entry(name, raw_name, flags, method, header, packed, size, crc)
    if entry.is_folder and (size or packed > _NOTHING_DEFLATED):
        raise invalid(f"the folder {name[:255]!r} has bytes")
    is_stored = method == _STORED and size == packed
    is_packed = method == _DEFLATED and size <= packed * _MAX_RATIO and packed <= size * _MAX_GROWTH + _MAX_GROWN_BYTES
    if not (is_stored or is_packed):
        raise invalid(f"{name[:255]!r} would be {size} bytes out of {packed}, which cannot be")
    return entry, end


def _text(raw_name: bytes, flags: int) -> str:
    try:
        # Without the flag the encoding is anybody's guess, so that two readers may see two names.
        return raw_name.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise invalid("a name is neither ASCII nor marked as UTF-8 and valid as such") from error


def large_form(extra: bytes, short: Sequence[int]) -> list[int]:
    """The numbers, those that are all ones replaced by those of the extra field (APPNOTE 4.5.3).

    Raises:
        InvalidModelFile: it lacks one, is there twice, or another field gives the member a second name.
    """
    position, long = 0, None
    while len(extra) - position >= 4:
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == _UNICODE_PATH or (kind == _ZIP64 and long is not None) or position + length > len(extra):
            raise invalid("an extra field gives a member a second name or size, or is damaged")
        if kind == _ZIP64:
            long = extra[position : position + length]
        position += length
    missing = sum(number == _MAX32 for number in short)
    if long is None or not missing:
        if missing:
            raise invalid("a member lacks the large form of its size or place")
        return list(short)
    if len(long) < 8 * missing:
        raise invalid("a member lacks the large form of its size or place")
    numbers = iter(struct.unpack_from(f"<{missing}Q", long))
    return [next(numbers) if number == _MAX32 else number for number in short]

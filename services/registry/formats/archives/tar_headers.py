"""Reads one header of a tar archive: POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU.

Readers differ in what they make of a header that breaks a rule, and a file that is hidden from one of them is seen by
another. So a header is either plain or refused.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping

from services.registry.formats.facts import InvalidModelFile

BLOCK = 512
MAX_OCTAL = 0o77777777777  # the largest size that the eleven digits of a header can say
_DIGITS = re.compile(rb"[ ]*([0-7]+)[ \0]*|[ \0]*")
_USTAR, _GNU, _V7 = b"ustar\x0000", b"ustar  \x00", bytes(8)
_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n\0]+)=")


class Kind(enum.Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    HARD_LINK = "hard link"
    SYMBOLIC_LINK = "symbolic link"
    LONG_NAME = "the name of the next entry"
    LONG_LINK = "what the next entry points to"
    EXTENDED = "attributes of the next entry"
    GLOBAL = "attributes of all entries that follow"


_KINDS = {
    b"\0": Kind.FILE,
    b"0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMBOLIC_LINK,
    b"5": Kind.FOLDER,
    b"L": Kind.LONG_NAME,
    b"K": Kind.LONG_LINK,
    b"x": Kind.EXTENDED,
    b"g": Kind.GLOBAL,
}
_REFUSED = {b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a header says; ``size`` counts the bytes that follow it, ``target`` is where a link points. Name and target
    are as they stand there: another header may have said them before, and these be cut in the midst of a character."""

    kind: Kind
    name: bytes
    size: int
    target: bytes


def invalid(what: str) -> InvalidModelFile:
    """The archive breaks a rule, or could be understood in several ways."""
    return InvalidModelFile(f"Not a valid tar file: {what}.", format="tar")


def is_header(block: bytes) -> bool:
    """Whether the block's checksum is right, or it has a tar's magic."""
    return len(block) == BLOCK and (_checksum_fits(block) or block[257:262] == b"ustar")


def parse(block: bytes) -> Header:
    """The header in a block of 512 bytes.

    Raises:
        InvalidModelFile
    """
    if not _checksum_fits(block):
        raise invalid("the checksum of a header is wrong")
    magic = block[257:265]
    if magic not in (_USTAR, _GNU, _V7):
        raise invalid("a header is of no known kind")
    flag = block[156:157]
    name = _until_nul(block[0:100])
    if magic == _USTAR and block[345]:
        name = _until_nul(block[345:500]) + b"/" + name
    if flag in _REFUSED:
        raise invalid(f"{name.decode(errors='replace')!r} is {_REFUSED[flag]}")
    kind = _KINDS.get(flag)
    if kind is None:
        raise invalid(f"{name.decode(errors='replace')!r} is of an unknown kind")
    if flag == b"\0" and name.endswith(b"/"):
        kind = Kind.FOLDER  # as archives of before 1988 say it
    return Header(kind, name, _size(block[124:136]), _until_nul(block[157:257]))


def attributes(raw: bytes) -> Mapping[str, str]:
    """The name, the size and what it points to, out of an extended header: ``path``, ``size``, ``linkpath``.

    Raises:
        InvalidModelFile: a record is malformed, comes twice, or tells of a sparse file or of another encoding.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(raw):
        record = _RECORD.match(raw, position)
        end = position + int(record[1]) if record else 0
        if record is None or end > len(raw) or end <= record.end() or raw[end - 1 : end] != b"\n":
            raise invalid("an extended header is malformed")
        key, value = record[2], raw[record.end() : end - 1]
        if key.startswith(b"GNU.sparse") or key == b"hdrcharset":
            raise invalid("it has a sparse file, or names that are not UTF-8")
        if key in (b"path", b"linkpath", b"size"):
            if key.decode() in found or b"\0" in value:
                raise invalid("an extended header is malformed")
            found[key.decode()] = text(value)
        position = end
    if not found.get("size", "0").isascii() or not found.get("size", "0").isdigit() or len(found.get("size", "")) > 19:
        raise invalid("a size is no number")
    return found


def _checksum_fits(block: bytes) -> bool:
    digits = _DIGITS.fullmatch(block[148:156])
    if digits is None or digits[1] is None:
        return False
    return int(digits[1], 8) == sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def _size(field: bytes) -> int:
    if field[0] == 0x80:  # GNU: the number itself, big-endian
        return int.from_bytes(field[1:], "big")
    digits = _DIGITS.fullmatch(field)
    if digits is None:
        raise invalid("a size is no number")
    return int(digits[1] or b"0", 8)


def _until_nul(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def text(raw: bytes) -> str:
    """A name.

    Raises:
        InvalidModelFile: it is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise invalid("a name is not UTF-8") from error

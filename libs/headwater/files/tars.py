"""Reading tar archives from anyone: member after member, from a stream, and nothing but plain files.

A parser of its own (POSIX.1-2017 pax and ustar, GNU long names) instead of ``tarfile``, which follows what headers
claim: it reads extended headers of any size into memory, and knows links, devices and sparse files, none of which are
rows. What is odd is an error that names the archive, the member and its place.
"""

import dataclasses
import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Any

from headwater.files.errors import SourceMalformed
from headwater.files.walk import Found

BLOCK = 512
MAX_NAME_BYTES = 4096
_MAX_EXTENDED_BYTES = 1 << 16
_MAX_PADDING_BYTES = 1 << 20
_END = bytes(BLOCK)
_FILE, _FOLDER, _PAX, _PAX_GLOBAL, _GNU_NAME = b"0", b"5", b"x", b"g", b"L"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"K": "a link with a long name",
    b"S": "a sparse file",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    name: str
    size_bytes: int


class TarReader:
    """The files of one archive, in order. Ask for a member's content before the next member, or not at all."""

    def __init__(self, stream: IO[bytes], location: str) -> None:
        """``stream`` need not be seekable; what is not asked for is then read and dropped."""
        self._stream = stream
        self._location = location
        self._place = 0
        self._left = 0

    def __iter__(self) -> Iterator[Member]:
        """The members.

        Raises:
            SourceMalformed: naming archive, member and place.
        """
        override: dict[str, bytes] = {}
        while (header := self._block()) != _END:
            kind, size = header[156:157].replace(b"\0", _FILE), self._size(header)
            if kind in (_PAX, _PAX_GLOBAL, _GNU_NAME):
                content = self._extension(size)
                if kind == _GNU_NAME:
                    override["path"] = content.rstrip(b"\0")
                elif kind == _PAX:
                    override |= self._pax(content)
                else:
                    self._global(content)
                continue
            member = self._member(header, kind, size, override)
            override = {}
            if member is not None:
                self._left = member.size_bytes
                yield member
                self._skip()
        if override:
            raise self.malformed("it ends after a header that belongs to a member")
        self._finish()

    def read(self, member: Member) -> bytes:
        """The content of the member that came last."""
        content = self._exactly(member.size_bytes, f"within {member.name}")
        self._left = 0
        self._exactly(-member.size_bytes % BLOCK, f"within {member.name}")
        return content

    def malformed(self, why: str) -> SourceMalformed:
        """An error that names the archive and the place in it."""
        return SourceMalformed(f"{self._location}, at byte {self._place}: {why}.", path=self._location)

    def _member(self, header: bytes, kind: bytes, size: int, override: dict[str, bytes]) -> Member | None:
        name = self._name(header, override)
        if kind in _REFUSED or any(key.startswith("GNU.sparse") for key in override):
            raise self.malformed(f"{name} is {_REFUSED.get(kind, 'a sparse file')}, and only files can be rows")
        if kind == _FOLDER:
            return None
        if kind not in (_FILE, b"7"):
            raise self.malformed(f"{name} is of the unknown kind {kind!r}")
        if "size" in override:
            size = self._decimal(override["size"])
        return Member(name, size)

    def _name(self, header: bytes, override: dict[str, bytes]) -> str:
        raw = override.get("path")
        if raw is None:
            raw = header[:100].partition(b"\0")[0]
            if header[257:263] == b"ustar\0" and (prefix := header[345:500].partition(b"\0")[0]):
                raw = prefix + b"/" + raw
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise self.malformed(f"the name {raw[:200]!r} is not UTF-8") from None
        name = name.removeprefix("./").rstrip("/")
        parts = name.split("/")
        if not name or len(raw) > MAX_NAME_BYTES or "\0" in name or "\\" in name:
            raise self.malformed(f"the name {name[:200]!r} is none that a member can have")
        if name.startswith("/") or ".." in parts or "" in parts:
            raise self.malformed(f"the name {name[:200]!r} leads out of the archive")
        return name

    def _pax(self, content: bytes) -> dict[str, bytes]:
        """The records of an extended header: ``LENGTH KEY=VALUE NEWLINE``."""
        records: dict[str, bytes] = {}
        while content:
            digits, _, _ = content[:8].partition(b" ")
            length = self._decimal(digits)
            record = content[:length]
            key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
            if length > len(content) or not equals or not record.endswith(b"\n"):
                raise self.malformed("an extended header is damaged")
            records[key.decode(errors="replace")] = value
            content = content[length:]
        return records

    def _global(self, content: bytes) -> None:
        """What a global header may say: nothing that changes what a member is."""
        if changed := self._pax(content).keys() & {"path", "size", "linkpath"}:
            raise self.malformed(f"a global header sets {min(changed)} for all members")

    def _extension(self, size: int) -> bytes:
        if size > _MAX_EXTENDED_BYTES:
            raise self.malformed(f"an extended header has {size} bytes")
        content = self._exactly(size, "within an extended header")
        self._exactly(-size % BLOCK, "within an extended header")
        return content

    def _size(self, header: bytes) -> int:
        stored = header[148:156].strip(b" \0")
        computed = sum(header[:148]) + 8 * 0x20 + sum(header[156:])
        if stored.strip(b"01234567") or not stored or int(stored, 8) != computed:
            raise self.malformed("there is no header of a tar member")
        field = header[124:136]
        if field[0] == 0x80:  # GNU: eight bytes, for what octal digits cannot say
            return int.from_bytes(field[1:], "big")
        digits = field.strip(b" \0")
        if digits.strip(b"01234567"):
            raise self.malformed(f"the size {digits!r} is no number")
        return int(digits or b"0", 8)

    def _decimal(self, digits: bytes) -> int:
        if not digits.isdigit() or len(digits) > 20:
            raise self.malformed(f"an extended header says {digits[:40]!r} where a number belongs")
        return int(digits)

    def _block(self) -> bytes:
        return self._exactly(BLOCK, "before its end, which is a block of zeros: it was cut off")

    def _skip(self) -> None:
        """Pass over what was not read of a member."""
        if self._left:
            left, self._left = self._left, 0
            left += -left % BLOCK
            if self._stream.seekable():
                # The last byte is read, so that a file that is cut off there is noticed.
                self._stream.seek(left - 1, 1)
                self._place += left - 1
                left = 1
            while left:
                left -= len(self._exactly(min(left, 1 << 20), "within a member"))

    def _finish(self) -> None:
        """After the end there is nothing but zeros."""
        begin = self._place
        while padding := self._read(1 << 16):
            if padding.strip(b"\0"):
                raise self.malformed("there is something after its end; it may be two archives in one file")
            if self._place - begin > _MAX_PADDING_BYTES:
                raise self.malformed("it goes on with zeros after its end")

    def _exactly(self, size: int, where: str) -> bytes:
        content = self._read(size)
        while len(content) < size:
            more = self._read(size - len(content))
            if not more:
                raise self.malformed(f"it ends {where}")
            content += more
        return content

    def _read(self, size: int) -> bytes:
        try:
            content = self._stream.read(size)
        except (zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise self.malformed(f"it cannot be unpacked: {error}") from error
        self._place += len(content)
        return content


def open_tar(file: Found, kind: str) -> IO[bytes]:
    """The file as a stream of tar blocks; ``kind`` is tar or tar.gz."""
    if kind == "tar":
        return open(file.location, "rb")
    unpacked: Any = _Forward(file.location)
    return unpacked  # type: ignore[no-any-return]


class _Forward(gzip.GzipFile):
    """An unpacked stream; to seek in it means to unpack, which is then better done by who reads it."""

    def seekable(self) -> bool:
        return False

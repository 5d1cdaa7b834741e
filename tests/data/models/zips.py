"""Zip archives, good ones and ones that deceive: in which two readers see different members, or that cost too much."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_TRAILER = struct.Struct("<4sLLL")


def zipped(*, compressed: bool = False, **members: bytes) -> bytes:
    """An archive as Python writes it; ``__`` in a name stands for a slash, ``_dot_`` for a dot."""
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_dot_", ".")), member, method)
    return content.getvalue()


def by_name(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of members whose names are no Python names."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, method)
    return content.getvalue()


class Builder:
    """Writes an archive field by field, with whatever they shall say."""

    def __init__(self) -> None:
        self._content = bytearray()
        self._directory = bytearray()
        self._count = 0

    def member(self, name: bytes = b"a", content: bytes = b"x", **said: Any) -> "Builder":
        """A member; ``said`` says what its header (``local_…``) or its entry say otherwise, or what lies around it."""
        packed = bytes(said.get("packed", content))
        fields: dict[str, Any] = {
            "flags": 0,
            "method": 0,
            "crc": zlib.crc32(content),
            "packed_size": len(packed),
            "size": len(content),
        }
        fields |= {"name": name, "extra": b"", "header": len(self._content)}
        entry = fields | {key: value for key, value in said.items() if key in fields}
        own = {**entry, "extra": b""} | {key[6:]: value for key, value in said.items() if key.startswith("local_")}
        self._content += _LOCAL.pack(
            b"PK\3\4", 20, own["flags"], own["method"], 0, 0, own["crc"], own["packed_size"], own["size"],
            len(own["name"]), len(own["extra"]),
        )  # fmt: skip
        self._content += own["name"] + own["extra"] + packed + bytes(said.get("after", b""))
        self._directory += _CENTRAL.pack(
            b"PK\1\2", 20, 20, entry["flags"], entry["method"], 0, 0, entry["crc"], entry["packed_size"], entry["size"],
            len(entry["name"]), len(entry["extra"]), 0, said.get("disk", 0), 0, 0, entry["header"],
        )  # fmt: skip
        self._directory += entry["name"] + entry["extra"]
        self._count += 1
        return self

    def end(self, comment: bytes = b"", between: bytes = b"", **said: int) -> bytes:
        """The whole archive."""
        begin = len(self._content)
        self._content += self._directory + between
        count, size = said.get("count", self._count), said.get("size", len(self._directory))
        self._content += _END.pack(
            b"PK\5\6", said.get("disk", 0), 0, count, count, size, said.get("begin", begin), len(comment)
        )
        return bytes(self._content + comment)


def large(**said: int) -> bytes:
    """An archive in the large form (zip64), which says everything twice."""
    content = Builder().member()
    whole = content.end()
    size = len(content._directory)
    begin = len(whole) - _END.size - size
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, said.get("here", 1), said.get("count", 1), size, begin
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, said.get("at", len(whole) - _END.size), 1)
    short = said.get("short", 0xFFFFFFFF)
    return whole[: -_END.size] + end64 + locator + _END.pack(b"PK\5\6", 0, 0, 1, 1, size, short, 0)


def _deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def _two_names(local: bytes, central: bytes) -> Callable[[], bytes]:
    return lambda: Builder().member(central, local_name=local).end()


def _named(*names: bytes) -> Callable[[], bytes]:
    def build() -> bytes:
        builder = Builder()
        for name in names:
            builder.member(name, flags=0x800)
        return builder.end()

    return build


def _same_bytes_twice() -> bytes:
    builder = Builder().member(b"a").member(b"a")
    builder._directory.clear()
    content = bytes(builder._content)
    once = Builder().member(b"a").member(b"a", header=0)
    return content + once.end()[len(content) :]


def _quoted() -> bytes:
    """A member's bytes are a whole member themselves, which the directory lists as well (after D. Fifield, 2019)."""
    inner = Builder().member(b"b", b"boom")
    bytes_of_inner = bytes(inner._content)
    builder = Builder().member(b"a", bytes_of_inner)
    begin = len(builder._content) - len(bytes_of_inner)
    builder._directory += inner._directory[:-5] + struct.pack("<L", begin) + b"b"
    builder._count += 1
    return builder.end()


def _two_ends() -> bytes:
    first = Builder().member(b"a", b"for one reader").end()
    return Builder().member(b"b", b"for another").end(comment=first)


def _both_ends_fit() -> bytes:
    whole = Builder().member(b"a").end()
    return whole[:-2] + struct.pack("<H", 22) + b"PK\5\6" + bytes(18)


def _trailer(crc: int) -> bytes:
    return _TRAILER.pack(b"PK\7\x08", crc, 1, 1)


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "another name where the bytes are": _two_names(b"evil.pkl", b"good.pkl"),
    "a longer name where the bytes are": _two_names(b"a/b", b"a"),
    "NUL in a name": _two_names(b"a.pkl\0.txt", b"a.pkl\0.txt"),
    "the same bytes twice": _same_bytes_twice,
    "a member within a member": _quoted,
    "a name twice": _named(b"a", b"a"),
    "names that differ in case": _named(b"data.pkl", b"DATA.pkl"),
    "names that differ in composition": _named("é".encode(), "e\u0301".encode()),
    "a file that is a folder": _named(b"a", b"a/b"),
    "..": _named(b"../evil"),
    ".. further down": _named(b"a/../../evil"),
    "an absolute name": _named(b"/etc/passwd"),
    "a drive": _named(b"C:/evil"),
    "a backslash": _named(b"..\\evil"),
    "an empty part": _named(b"a//b"),
    "a name of 2,000 characters": _named(b"a" * 2000),
    "a name that is not UTF-8": _named(b"\xff\xfe"),
    "a name in an encoding that is not said": lambda: Builder().member("é".encode()).end(),
    "a second name": lambda: Builder().member(extra=struct.pack("<HHB", 0x7075, 5, 1) + b"evil").end(),
    "encrypted": lambda: Builder().member(flags=1).end(),
    "strongly encrypted": lambda: Builder().member(flags=0x41).end(),
    "encrypted only where the bytes are": lambda: Builder().member(local_flags=1).end(),
    "an unknown method": lambda: Builder().member(method=12).end(),
    "another method where the bytes are": lambda: Builder().member(local_method=8).end(),
    "another size where the bytes are": lambda: Builder().member(local_size=2, local_packed_size=2).end(),
    "another CRC where the bytes are": lambda: Builder().member(local_crc=1).end(),
    "another CRC after the bytes": lambda: Builder().member(flags=8, after=_trailer(1)).end(),
    "no trailer where one is due": lambda: Builder().member(flags=8, after=b"garbage garbage!").end(),
    "stored in fewer bytes than it has": lambda: Builder().member(size=2**31).end(),
    "2 GB out of ten bytes": lambda: Builder().member(packed=b"0123456789", method=8, size=2**31).end(),
    "bytes before the first": lambda: b"#!/bin/sh\n" + Builder().member().end(),
    "bytes between": lambda: Builder().member(b"a", after=b"hidden").member(b"b").end(),
    "bytes before the directory": lambda: Builder().member(after=b"hidden").end(),
    "bytes after the directory": lambda: Builder().member().end(between=b"hidden"),
    "bytes after the end": lambda: Builder().member().end() + b"hidden",
    "two ends": _two_ends,
    "two ends that both fit": _both_ends_fit,
    "no end": lambda: Builder().member().end()[:-22],
    "cut": lambda: Builder().member().end()[10:],
    "an entry that is cut": lambda: Builder().member().end(size=20),
    "more entries than there are": lambda: Builder().member().end(count=2),
    "fewer entries than there are": lambda: Builder().member(b"a").member(b"b").end(count=1),
    "a million entries": lambda: large(count=1_000_000, here=1_000_000),
    "a directory beyond the file": lambda: Builder().member().end(begin=2**31),
    "a member beyond the file": lambda: Builder().member(header=2**31).end(),
    "a second disk": lambda: Builder().member(disk=1).end(),
    "an archive over several disks": lambda: Builder().member().end(disk=1),
    "a large form that is elsewhere": lambda: large(at=0),
    "a large form that says otherwise": lambda: large(short=1),
    "a large size that is not there": lambda: Builder().member(size=0xFFFFFFFF, packed_size=0xFFFFFFFF).end(),
    "blocks of nothing": lambda: (
        Builder().member(content=b"a", packed=b"\0\0\0\xff\xff" * 2000 + _deflated(b"a"), method=8).end()
    ),
    "a folder that has bytes": lambda: Builder().member(b"a/", b"x").end(),
}
"""Archives that are refused as such."""

UNREADABLE: Mapping[str, Callable[[], bytes]] = {
    "a wrong CRC": lambda: Builder().member(crc=1, local_crc=1).end(),
    "a bomb": lambda: Builder().member(content=bytes(10**8), packed=_deflated(bytes(10**8)), method=8).end(),
    "a bomb that denies it": lambda: (
        Builder().member(content=bytes(10**5), packed=_deflated(bytes(10**8)), method=8).end()
    ),
    "fewer bytes than it says": lambda: Builder().member(content=bytes(1000), packed=_deflated(b"abc"), method=8).end(),
    "bytes after its end": lambda: Builder().member(packed=_deflated(b"x") + b"more", method=8).end(),
    "an end that is missing": lambda: (
        Builder().member(content=bytes(5000), packed=_deflated(bytes(5000))[:-1], method=8).end()
    ),
    "no deflated bytes": lambda: Builder().member(packed=b"\xff\xff\xff\xff", method=8).end(),
}
"""Archives whose only member, ``a``, cannot be read."""

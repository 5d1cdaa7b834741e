"""Tar archives that are meant to deceive whoever reads or extracts them."""

import gzip
from collections.abc import Callable, Mapping

BLOCK = 512
END = bytes(2 * BLOCK)


def header(name: str | bytes, size: int = 0, flag: bytes = b"0", **fields: bytes) -> bytes:
    """One ustar header; ``fields`` overwrite: ``size_field``, ``linkname``, ``magic``, ``prefix``, ``checksum``."""
    raw = name if isinstance(name, bytes) else name.encode()
    block = raw.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    block += fields.get("size_field", b"%011o\0" % size) + b"00000000000\0" + b" " * 8 + flag
    block += fields.get("linkname", b"").ljust(100, b"\0") + fields.get("magic", b"ustar\x0000") + bytes(80)
    block = (block + fields.get("prefix", b"")).ljust(BLOCK, b"\0")
    return block[:148] + fields.get("checksum", b"%06o\0 " % sum(block)) + block[156:]


def padded(content: bytes) -> bytes:
    """The content, filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def member(name: str | bytes, content: bytes = b"", flag: bytes = b"0", **fields: bytes) -> bytes:
    """A header and what follows it."""
    return header(name, len(content), flag, **fields) + padded(content)


def tar(**files: bytes) -> bytes:
    """An archive of plain files."""
    return b"".join(member(name, content) for name, content in files.items()) + END


def extended(flag: bytes = b"x", **records: str) -> bytes:
    """An extended header (pax)."""
    lines = b""
    for key, value in records.items():
        rest = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        lines += str(length).encode() + rest
    return member("pax", lines, flag)


_A = member("a", b"x")

REFUSED: Mapping[str, Callable[[], bytes]] = {
    "../": lambda: member("../evil", b"x") + END,
    "a/../../b": lambda: member("a/../../b", b"x") + END,
    "absolute": lambda: member("/etc/cron.d/evil", b"x") + END,
    "absolute folder": lambda: header("/", flag=b"5") + END,
    "absolute by its prefix": lambda: member("passwd", b"x", prefix=b"/etc") + END,
    "drive letter": lambda: member("C:/evil", b"x") + END,
    "backslash": lambda: member("..\\evil", b"x") + END,
    "newline in a name": lambda: member("a\nb", b"x") + END,
    "no name": lambda: member("", b"x") + END,
    "name that is not UTF-8": lambda: member(b"\xff\xfe", b"x") + END,
    "long name leads out": lambda: member("././@LongLink", b"../evil\0", b"L") + _A + END,
    "extended name leads out": lambda: extended(path="../evil") + _A + END,
    "name said twice": lambda: member("././@LongLink", b"b\0", b"L") + extended(path="c") + _A + END,
    "name of all members": lambda: extended(b"g", path="b") + _A + END,
    "other encoding": lambda: extended(hdrcharset="BINARY") + _A + END,
    "twice": lambda: _A + member("a", b"y") + END,
    "twice but for case": lambda: _A + member("A", b"y") + END,
    "twice but for composition": lambda: member("\u00e9", b"x") + member("e\u0301", b"y") + END,
    "file and folder": lambda: _A + member("a/b", b"y") + END,
    "file under a link": lambda: header("a", flag=b"2", linkname=b"b") + member("a/c", b"x") + END,
    "symbolic link out": lambda: header("a", flag=b"2", linkname=b"../b") + END,
    "symbolic link to an absolute path": lambda: header("a", flag=b"2", linkname=b"/etc/passwd") + END,
    "symbolic link out from a folder": lambda: header("d/a", flag=b"2", linkname=b"../../b") + END,
    "hard link out": lambda: header("a", flag=b"1", linkname=b"../b") + END,
    "hard link with bytes": lambda: member("a", b"x", b"1", linkname=b"b") + END,
    "character device": lambda: header("a", flag=b"3") + END,
    "block device": lambda: header("a", flag=b"4") + END,
    "pipe": lambda: header("a", flag=b"6") + END,
    "unknown kind": lambda: header("a", flag=b"Z") + END,
    "sparse file": lambda: header("a", flag=b"S") + END,
    "sparse file of 10 GB by attributes": lambda: (
        extended(GNU__sparse__major="1", GNU__sparse__realsize=str(10**10)) + _A + END
    ),
    "10 GB that are not there": lambda: header("a", size_field=b"\x80" + (10**10).to_bytes(11, "big")) + END,
    "size of 2^80": lambda: header("a", size_field=b"\x80\x01" + bytes(10)) + END,
    "negative size": lambda: header("a", size_field=b"\xff" * 12) + END,
    "size that is no number": lambda: header("a", size_field=b"1x2345678901") + END,
    "two sizes": lambda: extended(size="1024") + header("a", 512) + bytes(1024) + END,
    "extended size that is no number": lambda: extended(size="-1") + _A + END,
    "folder with bytes": lambda: member("a/", b"x", b"5") + END,
    "file with the name of a folder": lambda: member("a/", b"x") + END,
    "wrong checksum": lambda: header("a", checksum=b"000000\0 ") + END,
    "wrong magic": lambda: header("a", magic=b"usTAR\x0000") + END,
    "no end": lambda: _A,
    "half an end": lambda: _A + bytes(BLOCK),
    "hidden after the end": lambda: _A + END + member("b", b"x") + END,
    "hidden after half an end": lambda: _A + bytes(BLOCK) + member("b", b"x") + END,
    "cut in a file": lambda: header("a", 1000) + bytes(100),
    "attributes of nothing": lambda: extended(path="b") + END,
    "attributes without an end": lambda: member("pax", b"99 path=b\n", b"x") + _A + END,
    "1 GB of attributes": lambda: header("pax", 2**30, b"x") + END,
    "too many members": lambda: b"".join(header(f"f{number}") for number in range(10_001)) + END,
    "compressed and leads out": lambda: gzip.compress(member("../evil", b"x") + END),
}
"""What is refused, by what is wrong with it."""

MARKED: Mapping[str, Callable[[], bytes]] = {
    "symbolic link within": lambda: _A + header("b", flag=b"2", linkname=b"a") + END,
    "hard link within": lambda: _A + header("b", flag=b"1", linkname=b"a") + END,
    "archive within": lambda: tar(**{"inner.tar": tar(a=b"x")}),
    "gzip bomb": lambda: gzip.compress(header("a", 2**28) + bytes(2**28) + END, 1),
}
"""What is kept and marked, but not looked into any further."""

"""Decompresses the beginning of a file that is compressed as a whole, by gzip (RFC 1952), zlib (RFC 1950), bzip2 or xz.

There is no way to the end of one but through all of it.
"""

import bz2
import functools
import lzma
import zlib
from collections.abc import Callable
from typing import NamedTuple, Protocol

from services.registry.formats.content import Content

_STEP = 2**18
_MAX_STREAMS = 2000  # each costs a copy of what is left of a step
_MAX_LZMA_MEMORY = 80 * 2**20  # enough for what xz writes at its highest level
_NO_MEMORY = "Memory usage limit exceeded"


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Packing(NamedTuple):
    """A way to compress: its name, what files begin with, what decompresses them, and whether they begin as no other
    file does."""

    name: str
    begin: bytes
    decompressor: Callable[[], _Decompressor]
    sure: bool = True


class Beginning(NamedTuple):
    """The first bytes of what is compressed, whether they are all, and why no more can be had; empty if more can.

    ``refused``: it could be decompressed, but not in as much memory as is spent on it.
    """

    content: bytes
    complete: bool
    broken: str = ""
    refused: bool = False


_decompress_lzma = functools.partial(lzma.LZMADecompressor, memlimit=_MAX_LZMA_MEMORY)
GZIP = Packing("gzip", b"\x1f\x8b\x08", functools.partial(zlib.decompressobj, zlib.MAX_WBITS | 16))
PACKINGS = (
    GZIP,
    Packing("zlib", b"\x78", zlib.decompressobj, sure=False),
    Packing("bzip2", b"BZh", bz2.BZ2Decompressor),
    Packing("xz", b"\xfd7zXZ\0", _decompress_lzma),
    Packing("LZMA", b"\x5d\0", _decompress_lzma, sure=False),
)


def begins_like(packing: Packing, content: Content) -> bool:
    """Whether the content begins as such files do."""
    length = len(packing.begin)
    return content.size >= 8 and bytes(content.read(0, length)) == packing.begin


def beginning(packing: Packing, content: Content, most: int) -> Beginning:
    """At most the first ``most`` bytes of what is compressed, out of at most as many."""
    plain, position, limit = bytearray(), 0, min(content.size, most)
    decompressor, streams = packing.decompressor(), 1
    try:
        while position < limit and len(plain) < most:
            step = bytes(content.read(position, min(_STEP, limit - position)))
            position += len(step)
            while step and len(plain) < most:
                if decompressor.eof:  # what several files give, one after the other, belongs together
                    streams += 1
                    if streams > _MAX_STREAMS:
                        return Beginning(bytes(plain), complete=False, broken="it has too many parts")
                    decompressor = packing.decompressor()
                plain += decompressor.decompress(step, most - len(plain))
                step = decompressor.unused_data if decompressor.eof else b""  # all else is taken, or not needed
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        refused = str(error) == _NO_MEMORY
        broken = "it needs too much memory" if refused else "it cannot be decompressed"
        return Beginning(bytes(plain), complete=False, broken=broken, refused=refused)
    at_end = position == content.size and decompressor.eof and not decompressor.unused_data
    cut = position == content.size and not decompressor.eof and len(plain) < most
    return Beginning(bytes(plain), at_end, "it is cut off" if cut else "")

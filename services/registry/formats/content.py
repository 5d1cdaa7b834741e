"""The bytes of a file as a reader of a format sees them: by range, wherever they are.

A reader asks for what it needs and never for all of it, so that what it costs does not grow with the file.
"""

import mmap
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Truncated(ValueError):
    """A range goes past the end of the content."""


class Content(Protocol):
    """Bytes by range. Reading blocks: call it from a thread."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, begin: int, length: int) -> memoryview:
        """Exactly ``length`` bytes from ``begin``.

        Raises:
            Truncated: they are not all there, or a number is negative.
        """


class MemoryContent(Content):
    """Content that is in memory, or mapped."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._view = memoryview(content)

    @property
    def size(self) -> int:
        """See Content."""
        return len(self._view)

    def read(self, begin: int, length: int) -> memoryview:
        """See Content; nothing is copied."""
        check_range(begin, length, len(self._view))
        return self._view[begin : begin + length]


class PartOf(Content):
    """A part of other content: a file that lies uncompressed within an archive."""

    def __init__(self, whole: Content, begin: int, size: int) -> None:
        check_range(begin, size, whole.size)
        self._whole = whole
        self.begin = begin
        self._size = size

    @property
    def size(self) -> int:
        """See Content."""
        return self._size

    def read(self, begin: int, length: int) -> memoryview:
        """See Content."""
        check_range(begin, length, self._size)
        return self._whole.read(self.begin + begin, length)


class RangedContent(Content):
    """Content elsewhere, fetched in blocks of which the last few are kept.

    Args:
        size: how many bytes there are.
        fetch: gives exactly the bytes of a range, begin and length.
    """

    BLOCK_BYTES = 256 * 1024
    _KEPT_BLOCKS = 32

    def __init__(self, size: int, fetch: Callable[[int, int], bytes]) -> None:
        self._size = size
        self._fetch = fetch
        self._blocks: dict[int, bytes] = {}  # the least recently used first

    @property
    def size(self) -> int:
        """See Content."""
        return self._size

    def read(self, begin: int, length: int) -> memoryview:
        """See Content. A range longer than a few blocks is fetched at once and not kept."""
        check_range(begin, length, self._size)
        if length > 4 * self.BLOCK_BYTES:
            return memoryview(self._fetch(begin, length))
        first, last = begin // self.BLOCK_BYTES, (begin + max(length, 1) - 1) // self.BLOCK_BYTES
        if first == last:
            offset = begin - first * self.BLOCK_BYTES
            return memoryview(self._block(first))[offset : offset + length]
        joined = b"".join(map(self._block, range(first, last + 1)))
        offset = begin - first * self.BLOCK_BYTES
        return memoryview(joined)[offset : offset + length]

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            begin = number * self.BLOCK_BYTES
            block = self._fetch(begin, min(self.BLOCK_BYTES, self._size - begin))
            while len(self._blocks) >= self._KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = block
        return block


def check_range(begin: int, length: int, size: int) -> None:
    """Go on if the range lies within ``size`` bytes.

    Raises:
        Truncated
    """
    if begin < 0 or length < 0 or begin + length > size:
        raise Truncated(f"bytes {begin} to {begin + length} of {size}")


class FileContent(Content):
    """A file's content, open for as long as this object lives.

    A few bytes are read, and only many are mapped: to enter a page of a mapping costs as much as to read it ten times.
    """

    _MAPPED_FROM_BYTES = 2**20

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        self._size = os.fstat(self._file).st_size

    @property
    def size(self) -> int:
        """See Content."""
        return self._size

    def read(self, begin: int, length: int) -> memoryview:
        """See Content; many bytes are mapped for as long as they are held, and not copied."""
        check_range(begin, length, self._size)
        if length >= self._MAPPED_FROM_BYTES:
            first = begin - begin % mmap.ALLOCATIONGRANULARITY
            whole = mmap.mmap(self._file, begin + length - first, access=mmap.ACCESS_READ, offset=first)
            return memoryview(whole)[begin - first :]
        content = os.pread(self._file, length, begin)
        if len(content) < length:
            raise Truncated(f"bytes {begin} to {begin + length} of a file that has become shorter")
        return memoryview(content)

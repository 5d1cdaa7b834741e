"""The bytes of a file as a reader of a format sees them: by range, wherever they are.

A reader asks for what it needs and never for all of it, so that what it costs does not grow with the file.
"""

import mmap
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


def mapped(path: Path) -> Content:
    """The file's content, memory-mapped for as long as something that was read from it is held."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return MemoryContent(b"")
        return MemoryContent(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))

"""Reads a pickle's bytes one after the other, in windows, within a budget that all pickles of a file share."""

import dataclasses

from services.registry.formats.content import Content
from services.registry.formats.pickles.values import Blob

MAX_KEPT_BYTES = 65_536
"""A longer text or byte string is passed over and not fetched."""
_WINDOW = 65_536
_MAX_LINE = 65_536


class Malformed(ValueError):
    """Not a pickle, or one that asks for more than is spent on it."""


class CutOff(Malformed):
    """It goes on past the end of the content."""


@dataclasses.dataclass(slots=True)
class Budget:
    """What may still be spent on the pickles of one file: it bounds time, memory, what is fetched, and what members of
    an archive are unpacked to."""

    steps: int = 3_000_000
    values: int = 1_500_000
    fetched: int = 64 * 2**20
    unpacked: int = 256 * 2**20

    @property
    def is_spent(self) -> bool:
        """Whether something was asked for that was not there any more."""
        return min(self.steps, self.values, self.fetched, self.unpacked) < 0


class Cursor:
    """A place in the content, from ``begin`` on."""

    def __init__(self, content: Content, budget: Budget, begin: int = 0) -> None:
        self.budget = budget
        self._content = content
        self._window = b""
        self._window_begin = begin
        self._next = 0  # within the window

    @property
    def position(self) -> int:
        """Where the next byte is."""
        return self._window_begin + self._next

    def at_end(self) -> bool:
        """Whether no byte is left."""
        return self.position >= self._content.size

    def byte(self) -> int:
        """The next byte."""
        if self._next >= len(self._window):
            self._fill(1)
        byte = self._window[self._next]
        self._next += 1
        return byte

    def take(self, length: int) -> bytes:
        """The next ``length`` bytes: few of them."""
        end = self._next + length
        if end > len(self._window):
            self._fill(length)
            end = length
        taken = self._window[self._next : end]
        self._next = end
        return taken

    def line(self) -> bytes:
        """The bytes up to the next newline, which is passed."""
        end = self._window.find(b"\n", self._next)
        if end < 0:
            self._fill(min(_MAX_LINE, self._content.size - self.position))
            end = self._window.find(b"\n", self._next)
            if end < 0:
                raise (CutOff if len(self._window) < _MAX_LINE else Malformed)("a line does not end")
        taken = self._window[self._next : end]
        self._next = end + 1
        return taken

    def payload(self, length: int) -> bytes | Blob:
        """The next ``length`` bytes, passed over if they are many."""
        if length <= MAX_KEPT_BYTES:
            return self.take(length)
        if self.position + length > self._content.size:
            raise CutOff("it is cut off")
        self._window_begin, self._window, self._next = self.position + length, b"", 0
        return Blob(length)

    def _fill(self, length: int) -> None:
        """Move the window so that it begins here and has at least ``length`` bytes."""
        begin = self.position
        left = self._content.size - begin
        if length > left:
            raise CutOff("it is cut off")
        size = min(max(length, _WINDOW), left)
        self.budget.fetched -= size
        if self.budget.fetched < 0:
            raise Malformed("it is larger than what is read of a pickle")
        self._window = bytes(self._content.read(begin, size))
        self._window_begin, self._next = begin, 0

"""Reads UBJSON (https://ubjson.org), in which XGBoost writes its models; arrays of one type become numpy arrays."""

import struct
from typing import Any

import numpy as np

MAX_DEPTH = 64
_INTEGERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}
_NUMBERS = {**_INTEGERS, b"d": ">f", b"D": ">d"}
_ARRAYS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}


class NotUbjson(ValueError):
    """The bytes are not UBJSON, or use a part of it that XGBoost does not."""


def read_ubjson(content: bytes) -> Any:
    """The value in ``content``, all of it. What is built is bounded by a multiple of its size.

    Raises:
        NotUbjson
    """
    reader = _Reader(content)
    value = reader.value(0)
    if reader.position != len(content):
        raise NotUbjson("something follows the end")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise NotUbjson(f"it nests deeper than {MAX_DEPTH} levels")
        marker = self._take(1)
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker == b"S":
            return self._text()
        if marker in _NUMBERS:
            return self._number(marker)
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        raise NotUbjson(f"no value begins at byte {self.position - 1}")

    def _object(self, depth: int) -> dict[str, Any]:
        if self._comes(b"$"):
            raise NotUbjson("objects of one type are not read")
        members: dict[str, Any] = {}
        for _ in self._items(b"}"):
            name = self._text()
            if name in members:
                raise NotUbjson("a member comes twice")
            members[name] = self.value(depth + 1)
        return members

    def _array(self, depth: int) -> Any:
        if self._comes(b"$"):
            kind = self._take(1)
            if kind not in _ARRAYS or not self._comes(b"#"):
                raise NotUbjson("an array of one type is of numbers and says how many")
            dtype = np.dtype(_ARRAYS[kind])
            return np.frombuffer(self._take(self._length() * dtype.itemsize), dtype)
        return [self.value(depth + 1) for _ in self._items(b"]")]

    def _items(self, end: bytes) -> Any:
        """As many turns as the container has items: those that it says, or until its end comes."""
        if self._comes(b"#"):
            count = self._length()
            if count > len(self._content) - self.position:
                raise NotUbjson(f"{count} items are claimed where {len(self._content) - self.position} bytes are left")
            yield from range(count)
            return
        while not self._comes(end):
            yield

    def _text(self) -> str:
        try:
            return self._take(self._length()).decode()
        except UnicodeDecodeError as error:
            raise NotUbjson("a text is not UTF-8") from error

    def _length(self) -> int:
        marker = self._take(1)
        if marker not in _INTEGERS:
            raise NotUbjson(f"a length is missing at byte {self.position - 1}")
        return int(self._number(marker))

    def _number(self, marker: bytes) -> Any:
        form = _NUMBERS[marker]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _comes(self, marker: bytes) -> bool:
        if self._content[self.position : self.position + 1] != marker:
            return False
        self.position += 1
        return True

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self._content):
            raise NotUbjson(f"{count} bytes are claimed at byte {self.position}; they are not there")
        taken = self._content[self.position : end]
        self.position = end
        return taken

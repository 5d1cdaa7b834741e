"""Reads UBJSON (https://ubjson.org) piece by piece, with the methods of :class:`JsonReader`.

Arrays of one type are gone past without being touched, so that the cost is that of the values and not of the bytes.
"""

import struct
from collections.abc import Iterator
from typing import Any

from services.registry.formats.content import Content, Truncated
from services.registry.formats.json_text import MAX_TEXT, NotJson

MAX_VALUES = 500_000
_MAX_DEPTH = 200
_SIZES = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8, b"C": 1, b"Z": 0, b"N": 0, b"T": 0, b"F": 0}
_INTEGERS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q"}
_PLAIN = {b"d": ">f", b"D": ">d"}
_CONSTANTS: dict[bytes, Any] = {b"Z": None, b"T": True, b"F": False}


class UbjsonReader:
    """Goes through UBJSON, of which it takes or goes past ``max_values`` at most.

    Raises:
        NotJson: by every method.
    """

    def __init__(self, content: Content, max_values: int = MAX_VALUES) -> None:
        self._content = content
        self._values_left = max_values
        self._position = 0

    def members(self, *, entered: bool = False) -> Iterator[str]:
        """See JsonReader."""
        if not entered:
            self._expect(b"{")
        kind, count = (b"", -1) if entered else self._header()
        while count != 0 and not (count < 0 and self._ends(b"}")):
            count -= 1
            name = self._text()
            if kind:
                raise NotJson("objects of one type are not read")
            yield from self._each(name)

    def elements(self) -> Iterator[None]:
        """See JsonReader."""
        self._expect(b"[")
        kind, count = self._header()
        if kind:
            raise NotJson("an array of one type is not read one by one")
        while count != 0 and not (count < 0 and self._ends(b"]")):
            count -= 1
            yield from self._each(None)

    def value(self) -> Any:
        """The number or text that comes next."""
        self._count()
        marker = self._take(1)
        if marker == b"S":
            return self._text()
        if marker in _INTEGERS:
            return self._integer(marker)
        if marker in _PLAIN:
            return struct.unpack(_PLAIN[marker], self._take(_SIZES[marker]))[0]
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        raise self._error("a number or a text")

    def skip(self) -> None:
        """Go past the value that comes next."""
        open_counts: list[tuple[bytes, int]] = []  # the bracket that ends it, and how many values are left if it says
        while True:
            self._skip_one(open_counts)
            while open_counts:
                bracket, left = open_counts[-1]
                if left == 0 or (left < 0 and self._ends(bracket)):
                    open_counts.pop()
                    continue
                open_counts[-1] = bracket, left - 1 if left > 0 else left
                if bracket == b"}":
                    self._skip_bytes(self._length())
                break
            else:
                return
            if len(open_counts) > _MAX_DEPTH:
                raise NotJson(f"it nests deeper than {_MAX_DEPTH} levels")

    def _skip_one(self, open_counts: list[tuple[bytes, int]]) -> None:
        self._count()
        marker = self._take(1)
        if marker in (b"S", b"H"):
            self._skip_bytes(self._length())
        elif marker in _SIZES:
            self._skip_bytes(_SIZES[marker])
        elif marker in (b"[", b"{"):
            kind, count = self._header()
            if not kind:
                open_counts.append((b"]" if marker == b"[" else b"}", count))
            elif marker == b"[" and kind in _SIZES:
                self._skip_bytes(count * _SIZES[kind])
            else:
                raise NotJson("an array of one type is of numbers here")
        else:
            raise self._error("a value")

    def _header(self) -> tuple[bytes, int]:
        """Type and count of a container, as far as they are given: no bytes, and -1."""
        kind = b""
        if self._ends(b"$"):
            kind = self._take(1)
            self._expect(b"#")
        elif not self._ends(b"#"):
            return b"", -1
        return kind, self._length()

    def _each(self, item: Any) -> Iterator[Any]:
        before = self._position
        yield item
        if self._position == before:
            self.skip()

    def _text(self) -> str:
        length = self._length()
        if length > MAX_TEXT:
            raise self._error(f"a text of at most {MAX_TEXT} bytes")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as error:
            raise self._error("a text in UTF-8") from error

    def _length(self) -> int:
        length = self._integer(self._take(1))
        if length < 0:
            raise self._error("a length")
        return length

    def _integer(self, marker: bytes) -> int:
        if marker not in _INTEGERS:
            raise self._error("a whole number")
        (number,) = struct.unpack(_INTEGERS[marker], self._take(_SIZES[marker]))
        return int(number)

    def _ends(self, marker: bytes) -> bool:
        if self._take(1) == marker:
            return True
        self._position -= 1
        return False

    def _expect(self, marker: bytes) -> None:
        if not self._ends(marker):
            raise self._error(marker.decode())

    def _count(self) -> None:
        self._values_left -= 1
        if self._values_left < 0:
            raise NotJson("it has more values than are read")

    def _skip_bytes(self, count: int) -> None:
        if count > self._content.size - self._position:
            raise self._error(f"{count} bytes")
        self._position += count

    def _take(self, count: int) -> bytes:
        try:
            taken = bytes(self._content.read(self._position, count))
        except Truncated as error:
            raise self._error(f"{count} bytes") from error
        self._position += count
        return taken

    def _error(self, wanted: str) -> NotJson:
        return NotJson(f"{wanted} is missing before byte {self._position}")

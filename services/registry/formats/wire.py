"""Walks the protobuf wire format (https://protobuf.dev/programming-guides/encoding) without building messages.

A message is a span of the content. Its fields are told one by one, a nested message or byte string as a span again, so
that a 2 GiB file costs what its structure costs: weights are neither touched nor fetched. The number of fields is
bounded.
"""

from collections.abc import Iterator
from typing import NamedTuple

from services.registry.formats.content import Content

MAX_FIELDS = 2_000_000
MAX_TEXT = 65_536
_VARINT, _FIXED64, _SPAN, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10  # of the longest
_WINDOW_BYTES = 4096  # a page: beside each tensor that is skipped, no more than one of its pages is touched


class Malformed(ValueError):
    """Not the wire format, or more fields than are read."""


class Span(NamedTuple):
    """Bytes ``begin`` to ``end`` of the content."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.end - self.begin


class Reader:
    """Reads fields of one file, at most ``max_fields`` in all."""

    def __init__(self, content: Content, max_fields: int = MAX_FIELDS) -> None:
        self._content = content
        self._fields_left = max_fields
        self._window = b""
        self._window_begin = 0

    def whole(self) -> Span:
        """The outermost message."""
        return Span(0, self._content.size)

    def fields(self, message: Span) -> Iterator[tuple[int, int | Span]]:
        """Number and value of each field: a varint as an unsigned int, everything else as its bytes' span.

        Raises:
            Malformed
        """
        position, end = message
        while position < end:
            self._count()
            tag, position = self._varint(position, end)
            number, wire_type = tag >> 3, tag & 7
            if not 0 < number < 2**29:
                raise Malformed(f"there is no field {number}")
            if wire_type == _VARINT:
                value, position = self._varint(position, end)
                yield number, value
                continue
            if wire_type == _SPAN:
                size, position = self._varint(position, end)
            elif wire_type in (_FIXED64, _FIXED32):
                size = 8 if wire_type == _FIXED64 else 4
            else:
                raise Malformed(f"a field has the wire type {wire_type}")
            if size > end - position:
                raise Malformed("a field is longer than what holds it")
            yield number, Span(position, position + size)
            position += size

    def varints(self, packed: Span) -> list[int]:
        """The numbers of a packed field."""
        numbers, position = [], packed.begin
        while position < packed.end:
            self._count()
            number, position = self._varint(position, packed.end)
            numbers.append(number)
        return numbers

    def text(self, span: Span) -> str:
        """The text of a field: UTF-8 without NUL, at most 64 KiB."""
        if span.size > MAX_TEXT:
            raise Malformed("a text is longer than 64 KiB")
        begin = span.begin - self._window_begin
        if begin >= 0 and begin + span.size <= len(self._window):
            content = self._window[begin : begin + span.size]
        else:
            content = bytes(self._content.read(span.begin, span.size))
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise Malformed("a text is not UTF-8") from error
        if "\0" in text:
            raise Malformed("a text contains NUL")
        return text

    def _count(self) -> None:
        self._fields_left -= 1
        if self._fields_left < 0:
            raise Malformed("it has too many fields")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        at = position - self._window_begin
        if not 0 <= at <= len(self._window) - _VARINT_BYTES:
            self._move(position)
            at = 0
        byte = self._window[at]
        if byte < 0x80 and position < end:
            return byte, position + 1
        value = shift = 0
        for byte in self._window[at : at + _VARINT_BYTES]:
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if position > end:
                    break
                return value & 0xFFFF_FFFF_FFFF_FFFF, position
            shift += 7
        raise Malformed("a number does not end")

    def _move(self, position: int) -> None:
        """Have a window from ``position``, filled up behind the content so that a number can always be looked at."""
        size = min(_WINDOW_BYTES, self._content.size - position)
        self._window = bytes(self._content.read(position, size))
        if position + size == self._content.size:
            self._window += bytes(_VARINT_BYTES)
        self._window_begin = position


def signed(value: int) -> int:
    """An int64 out of its varint."""
    return value - 2**64 if value >= 2**63 else value

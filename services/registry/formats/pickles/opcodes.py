"""The opcodes of pickle protocols 0 to 5 and how their arguments are written (Python's ``Lib/pickletools.py``)."""

import re
import struct
from collections.abc import Callable, Mapping
from typing import TypeAlias

from services.registry.formats.pickles.cursor import Cursor, Malformed
from services.registry.formats.pickles.values import Blob, Value

Argument: TypeAlias = Callable[[Cursor], Value]
_MAX_NUMBER_BYTES = 1024
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {
    b"\\": b"\\",
    b"'": b"'",
    b'"': b'"',
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
}


def _unsigned(length: int) -> Callable[[Cursor], int]:
    return lambda cursor: int.from_bytes(cursor.take(length), "little")


def _nothing(_: Cursor) -> None:
    return None


def _true(_: Cursor) -> bool:
    return True


def _false(_: Cursor) -> bool:
    return False


def _signed(cursor: Cursor) -> int:
    return int.from_bytes(cursor.take(4), "little", signed=True)


def _long(length: int) -> Argument:
    def read(cursor: Cursor) -> int:
        size = int.from_bytes(cursor.take(length), "little")
        if size > _MAX_NUMBER_BYTES:
            raise Malformed("a number is too long")
        return int.from_bytes(cursor.take(size), "little", signed=True)

    return read


def _bytes(length: int) -> Argument:
    return lambda cursor: cursor.payload(int.from_bytes(cursor.take(length), "little"))


def _text(length: int) -> Argument:
    def read(cursor: Cursor) -> str | Blob:
        payload = cursor.payload(int.from_bytes(cursor.take(length), "little"))
        return payload if isinstance(payload, Blob) else payload.decode("utf-8", "surrogatepass")

    return read


def _old_text(length: int) -> Argument:
    """A byte string of Python 2, which becomes a text."""

    def read(cursor: Cursor) -> str | Blob:
        payload = cursor.payload(int.from_bytes(cursor.take(length), "little"))
        return payload if isinstance(payload, Blob) else _of_python_2(payload)

    return read


def _of_python_2(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _quoted(cursor: Cursor) -> str:
    line = cursor.line().strip()
    if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
        raise Malformed("a text has no quotes")
    return _of_python_2(_ESCAPE.sub(_unescaped, line[1:-1]))


def _unescaped(escape: re.Match[bytes]) -> bytes:
    text = escape[1]
    if text[:1] == b"x":
        return bytes([int(text[1:], 16)])
    if text.isdigit():
        return bytes([int(text, 8) & 0xFF])
    return _ESCAPES.get(text, escape[0])


def _escaped(cursor: Cursor) -> str:
    return cursor.line().decode("raw-unicode-escape")


def _number_line(cursor: Cursor) -> int | bool:
    line = cursor.line()
    if line in (b"00", b"01"):
        return line == b"01"
    if len(line) > 2 * _MAX_NUMBER_BYTES:  # as hexadecimal digits; Python limits none but decimal ones
        raise Malformed("a number is too long")
    return int(line.rstrip(b"L"), 0) if line.strip(b"0L") else 0


def _index_line(cursor: Cursor) -> int:
    return int(cursor.line())


def _float_line(cursor: Cursor) -> float:
    return float(cursor.line())


def _float(cursor: Cursor) -> float:
    return float(struct.unpack(">d", cursor.take(8))[0])


def _line(cursor: Cursor) -> str:
    return cursor.line().decode()


def _two_lines(cursor: Cursor) -> tuple[str, str]:
    return cursor.line().decode(), cursor.line().decode()


OPCODES: Mapping[int, tuple[str, Argument | None]] = {
    code[0]: (name, argument)
    for code, name, argument in (
        (b"(", "MARK", None),
        (b".", "STOP", None),
        (b"0", "POP", None),
        (b"1", "POP_MARK", None),
        (b"2", "DUP", None),
        (b"F", "PUSH", _float_line),
        (b"I", "PUSH", _number_line),
        (b"J", "PUSH", _signed),
        (b"K", "PUSH", Cursor.byte),
        (b"L", "PUSH", _number_line),
        (b"M", "PUSH", _unsigned(2)),
        (b"N", "PUSH", _nothing),
        (b"P", "PERSID", _line),
        (b"Q", "BINPERSID", None),
        (b"R", "REDUCE", None),
        (b"S", "PUSH", _quoted),
        (b"T", "PUSH", _old_text(4)),
        (b"U", "PUSH", _old_text(1)),
        (b"V", "PUSH", _escaped),
        (b"X", "PUSH", _text(4)),
        (b"a", "APPEND", None),
        (b"b", "BUILD", None),
        (b"c", "GLOBAL", _two_lines),
        (b"d", "DICT", None),
        (b"}", "EMPTY_DICT", None),
        (b"e", "APPENDS", None),
        (b"g", "GET", _index_line),
        (b"h", "GET", Cursor.byte),
        (b"j", "GET", _unsigned(4)),
        (b"i", "INST", _two_lines),
        (b"l", "LIST", None),
        (b"]", "EMPTY_LIST", None),
        (b"o", "OBJ", None),
        (b"p", "PUT", _index_line),
        (b"q", "PUT", Cursor.byte),
        (b"r", "PUT", _unsigned(4)),
        (b"s", "SETITEM", None),
        (b"t", "TUPLE", None),
        (b")", "EMPTY_TUPLE", None),
        (b"u", "SETITEMS", None),
        (b"G", "PUSH", _float),
        (b"\x80", "PROTO", Cursor.byte),
        (b"\x81", "NEWOBJ", None),
        (b"\x82", "EXTENSION", Cursor.byte),
        (b"\x83", "EXTENSION", _unsigned(2)),
        (b"\x84", "EXTENSION", _unsigned(4)),
        (b"\x85", "TUPLE1", None),
        (b"\x86", "TUPLE2", None),
        (b"\x87", "TUPLE3", None),
        (b"\x88", "PUSH", _true),
        (b"\x89", "PUSH", _false),
        (b"\x8a", "PUSH", _long(1)),
        (b"\x8b", "PUSH", _long(4)),
        (b"B", "PUSH", _bytes(4)),
        (b"C", "PUSH", _bytes(1)),
        (b"\x8c", "PUSH", _text(1)),
        (b"\x8d", "PUSH", _text(8)),
        (b"\x8e", "PUSH", _bytes(8)),
        (b"\x8f", "EMPTY_LIST", None),  # a set
        (b"\x90", "APPENDS", None),
        (b"\x91", "TUPLE", None),  # a frozen set
        (b"\x92", "NEWOBJ_EX", None),
        (b"\x93", "STACK_GLOBAL", None),
        (b"\x94", "MEMOIZE", None),
        (b"\x95", "FRAME", _unsigned(8)),
        (b"\x96", "PUSH", _bytes(8)),
        (b"\x97", "NEXT_BUFFER", None),
        (b"\x98", "READONLY_BUFFER", None),
    )
}
"""By code: which action it is, and how its argument is read if it has one."""

"""NumPy's files of one array, ``.npy`` (NEP 1), whose elements may be objects: these are a pickle behind the header."""

import ast
import re
from typing import Any

from services.registry.formats.content import Content, PartOf
from services.registry.formats.facts import FileFacts, Format
from services.registry.formats.pickles import plain

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000  # as NumPy's own limit for files that are not trusted
_LENGTH_AT = 8
_PLAIN_TYPE = (
    r"[|<>=]?(?:[?bBhHiIlLqQefdgFDGcSaUV][0-9]{0,9}|[biufcSaUV][0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[A-Za-z]{1,2}\])?)"
)
_TYPE = re.compile(_PLAIN_TYPE)
_USUAL = re.compile(
    rb"\{'descr': '" + _PLAIN_TYPE.encode() + rb"', 'fortran_order': (?:True|False), 'shape': \([0-9L, ]*\), \} *\n"
)


def fits(content: Content) -> bool:
    """Whether it is an array of objects, or one of which that cannot be told."""
    if content.size < 12 or bytes(content.read(0, len(MAGIC))) != MAGIC:
        return False
    end = header_end(bytes(content.read(0, 12)))
    return end > min(MAX_HEADER_BYTES, content.size) or holds_objects(bytes(content.read(0, end)))


def read(content: Content) -> FileFacts:
    """What loading its elements would import and call."""
    end = header_end(bytes(content.read(0, 12)))
    if end > min(MAX_HEADER_BYTES, content.size):
        problem = f"It is an array whose header of {end} bytes was not looked at; its elements may be pickled."
        return FileFacts(Format.PICKLE, problems=[problem])
    told = plain.read(PartOf(content, end, content.size - end))
    problems = ["It is an array of objects, which are pickled.", *told.problems]
    return FileFacts(Format.PICKLE, framework=told.framework, globals=told.globals, problems=problems)


def header_end(beginning: bytes) -> int:
    """Where the header of an array ends whose first bytes, twelve at least, are these."""
    length_bytes = 2 if beginning[6] == 1 else 4
    return _LENGTH_AT + length_bytes + int.from_bytes(beginning[_LENGTH_AT : _LENGTH_AT + length_bytes], "little")


def is_usual(beginning: bytes) -> bool:
    """Whether the header is that of an array of numbers or texts, told without parsing it."""
    return _USUAL.fullmatch(beginning, 12 if beginning[6] != 1 else 10, header_end(beginning)) is not None


def holds_objects(header: bytes) -> bool:
    """Whether the elements are objects, or cannot be told not to be; ``header`` is all bytes up to its end."""
    if is_usual(header):
        return False
    try:
        said = ast.literal_eval(header[10 if header[6] == 1 else 12 :].decode("utf-8" if header[6] == 3 else "latin-1"))
        return not _is_plain(said["descr"])
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, RecursionError, MemoryError):
        return True


def _is_plain(type_: Any) -> bool:
    if isinstance(type_, str):
        return _TYPE.fullmatch(type_) is not None
    if isinstance(type_, tuple):  # with the shape of a part
        return _is_plain(type_[0])
    return isinstance(type_, list) and all(_is_plain(field[1]) for field in type_)

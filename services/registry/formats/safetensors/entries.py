"""Parses the header of a safetensors file, entry by entry, and says what is wrong with it.

The header may be 100 MB long and is attacker's text: one entry at a time is decoded and parsed as JSON, so that memory
stays in proportion to the tensors that are kept, and not to what JSON, or characters of four bytes, could blow up into.
"""

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from services.registry.formats.facts import MAX_INT64, MAX_TENSORS, InvalidModelFile, Tensor
from services.registry.formats.safetensors.dtypes import TYPES

METADATA = "__metadata__"
MAX_NAME = 1024
MAX_RANK = 64
_USUAL_ENTRY = 512  # bytes of one tensor's description
_MAX_ENTRY = 8192
_MAX_METADATA = 2**20  # bytes of __metadata__
_MAX_PROPERTY = 4096
_SPACE = re.compile(rb"[ \t\r\n]*")
UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # NUL, and the halves of characters that JSON can write one of


class Parsed(NamedTuple):
    """What a header says; offsets are those in the file."""

    tensors: Iterable[Tensor]
    properties: Mapping[str, str]


def parse(header: memoryview, data_begin: int, size: int) -> Parsed:
    """What the header, JSON in UTF-8, says of a file of ``size`` bytes, whose data begin at ``data_begin``.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    properties: dict[str, str] | None = None
    tensors: dict[str, Tensor] = {}
    for name, value in _members(header):
        if name in tensors or (name == METADATA and properties is not None):
            raise invalid(f"{name[:64]!r} is there twice")
        if name == METADATA:
            properties = metadata(value)
        else:
            tensors[name] = _tensor(name, value, data_begin)
        if len(tensors) > MAX_TENSORS:
            raise invalid(f"it has more than {MAX_TENSORS} tensors")
    _check_cover(tensors.values(), data_begin, size)
    return Parsed(tensors.values(), properties or {})


def _members(header: memoryview) -> Iterator[tuple[str, Any]]:
    """The members of the JSON object, one at a time."""
    if _at(header, 0) != b"{":
        raise invalid("the header does not begin with {")
    position = _skip(header, 1)
    if _at(header, position) == b"}":
        _check_end(header, position + 1)
        return
    while True:
        name, value, position = _member(header, position)
        yield name, value
        position = _skip(header, position)
        if _at(header, position) == b"}":
            _check_end(header, position + 1)
            return
        position = _expect(header, position, b",")


def _member(header: memoryview, position: int) -> tuple[str, Any, int]:
    """Name and value of the member at ``position``, and where it ends."""
    if _at(header, position) != b'"':
        raise invalid(f"the header is not JSON at byte {position}")
    name, position = _value(header, position, _MAX_ENTRY)
    position = _expect(header, position, b":")
    value, position = _value(header, position, _MAX_METADATA if name == METADATA else _MAX_ENTRY)
    return name, value, position


def _value(header: memoryview, position: int, longest: int) -> tuple[Any, int]:
    """The JSON value at ``position``, of at most ``longest`` bytes, and where it ends."""
    try:
        return _decoded(header, position, _USUAL_ENTRY)
    except (ValueError, RecursionError):  # it is longer, or broken
        pass
    try:
        return _decoded(header, position, longest)
    except UnicodeDecodeError as error:
        raise invalid("the header is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise invalid(f"the header is not JSON, or too long a part of it, at byte {position}") from error


def _decoded(header: memoryview, position: int, longest: int) -> tuple[Any, int]:
    raw = header[position : position + longest]
    text, decoded_bytes = codecs.utf_8_decode(raw, "strict", position + longest >= len(header))
    value, length = first_value(text)
    is_ascii = len(text) == decoded_bytes
    return value, position + (length if is_ascii else len(text[:length].encode()))


def first_value(text: str) -> tuple[Any, int]:
    """The JSON value that ``text`` begins with, and where it ends.

    Raises:
        ValueError, RecursionError: it begins with none, or with none that these files may have.
    """
    return _DECODER.raw_decode(text)


def _expect(header: memoryview, position: int, character: bytes) -> int:
    position = _skip(header, position)
    if _at(header, position) != character:
        raise invalid(f"the header is not JSON at byte {position}")
    return _skip(header, position + 1)


def _skip(header: memoryview, position: int) -> int:
    space = _SPACE.match(header, position)
    assert space is not None
    return space.end()


def _at(header: memoryview, position: int) -> bytes:
    """The byte at ``position``; none behind the end."""
    return bytes(header[position : position + 1])


def _check_end(header: memoryview, position: int) -> None:
    if _skip(header, position) != len(header):
        raise invalid("there is more in the header than one JSON object")


def _members_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is there twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members_once, parse_constant=_no_constant)


def metadata(value: Any) -> dict[str, str]:
    """The texts of ``__metadata__``.

    Raises:
        InvalidModelFile
    """
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise invalid("__metadata__ must map texts to texts")
    # Nobody reads a property that long.
    return {key[:255]: text[:_MAX_PROPERTY] for key, text in value.items() if not UNSTORABLE.search(key + text)}


def _tensor(name: str, value: Any, data_begin: int) -> Tensor:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise invalid(f"tensor {name[:64]!r} must have dtype, shape and data_offsets, and nothing else")
    if len(name) > MAX_NAME or UNSTORABLE.search(name):
        raise invalid(f"a tensor's name may have at most {MAX_NAME} characters, and no NUL or half a character")
    kind = value["dtype"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise invalid(f"tensor {name[:64]!r} has the unknown dtype {str(kind)[:32]!r}")
    shape, offsets = value["shape"], value["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise invalid(f"tensor {name[:64]!r} has a shape or offsets that are not sizes")
    bits, datatype = TYPES[kind]
    size_bits = math.prod(shape) * bits
    begin, end = offsets
    if size_bits > MAX_INT64:
        raise invalid(f"the shape of tensor {name[:64]!r} overflows")
    if size_bits % 8 or end - begin != size_bits // 8:
        raise invalid(f"tensor {name[:64]!r} has {end - begin} bytes where its shape needs {size_bits / 8:g}")
    return Tensor(name, datatype, tuple(shape), data_begin + begin, data_begin + end)


def _are_sizes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_RANK
        and all(type(each) is int and 0 <= each <= MAX_INT64 for each in value)
    )


def _check_cover(tensors: Iterable[Tensor], position: int, size: int) -> None:
    """The tensors must fill the file from ``position`` exactly: no hole, no overlap, nothing left over."""
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != position:
            what = "overlaps another" if tensor.begin < position else "leaves a hole before it"
            raise invalid(f"tensor {tensor.name[:64]!r} {what}")
        position = tensor.end
    if position != size:
        raise invalid(f"the tensors end at byte {position} of {size}")


def invalid(what: str) -> InvalidModelFile:
    """The error that says so."""
    return InvalidModelFile(f"Not a valid safetensors file: {what}.", format="safetensors")

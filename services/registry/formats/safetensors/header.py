"""Reads the header of a safetensors file (https://huggingface.co/docs/safetensors, "Format"): strictly.

    8 bytes   N, the header's length, little-endian
    N bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
    the rest  the tensors' bytes, without holes or overlaps

The header may be 100 MB long and is attacker's text: it is parsed entry by entry, so that memory stays in proportion to
the tensors that are kept and not to what the JSON could blow up into.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_INT64, MAX_TENSORS, FileFacts, Format, InvalidModelFile, Tensor

MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
_MAX_ENTRY = 8192  # characters of one tensor's description
_MAX_METADATA = 2**20  # characters of __metadata__
_MAX_PROPERTY = 4096
_METADATA = "__metadata__"
_MAX_RANK = 64
_SPACE = re.compile(r"[ \t\r\n]*")

# Bits of one element, and the type in Open Inference Protocol notation (our own spelling where it has none).
_TYPES: dict[str, tuple[int, str]] = {
    "BOOL": (8, "BOOL"),
    "U8": (8, "UINT8"),
    "I8": (8, "INT8"),
    "U16": (16, "UINT16"),
    "I16": (16, "INT16"),
    "U32": (32, "UINT32"),
    "I32": (32, "INT32"),
    "U64": (64, "UINT64"),
    "I64": (64, "INT64"),
    "F16": (16, "FP16"),
    "BF16": (16, "BF16"),
    "F32": (32, "FP32"),
    "F64": (64, "FP64"),
    "C64": (64, "COMPLEX64"),
    "F4": (4, "FP4"),
    "F6_E2M3": (6, "FP6_E2M3"),
    "F6_E3M2": (6, "FP6_E3M2"),
    "F8_E4M3": (8, "FP8_E4M3"),
    "F8_E4M3FNUZ": (8, "FP8_E4M3FNUZ"),
    "F8_E5M2": (8, "FP8_E5M2"),
    "F8_E5M2FNUZ": (8, "FP8_E5M2FNUZ"),
    "F8_E8M0": (8, "FP8_E8M0"),
}


class _Entry(NamedTuple):
    begin: int
    end: int
    tensor: Tensor


def fits(content: Content) -> bool:
    """Whether the content has a header of a possible length that begins as JSON."""
    if not begins_like_it(content):
        return False
    return 2 <= _header_bytes(content) <= min(MAX_HEADER_BYTES, content.size - _LENGTH_BYTES)


def begins_like_it(content: Content) -> bool:
    """Whether the ninth byte opens a JSON object, after eight that are not simply text."""
    if content.size < _LENGTH_BYTES + 2:
        return False
    start = bytes(content.read(0, _LENGTH_BYTES + 2))
    opens = start[8:9] == b"{" and start[9:10] in b'"} \t\r\n'
    return opens and any(byte < 32 or byte > 126 for byte in start[:_LENGTH_BYTES].translate(None, b"\t\r\n"))


def read(content: Content) -> FileFacts:
    """What the header says.

    Raises:
        InvalidModelFile: it breaks a rule of the format.
    """
    header_bytes = _header_bytes(content)
    if header_bytes > MAX_HEADER_BYTES:
        raise _invalid(f"the header would be {header_bytes} bytes long, more than {MAX_HEADER_BYTES}")
    data_bytes = content.size - _LENGTH_BYTES - header_bytes
    if data_bytes < 0:
        raise _invalid(f"the header would be {header_bytes} bytes long, more than the file")
    try:
        header = str(content.read(_LENGTH_BYTES, header_bytes), "utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("the header is not UTF-8") from error
    properties: dict[str, str] = {}
    entries: list[_Entry] = []
    names: set[str] = set()
    for name, value in _members(header):
        if name in names:
            raise _invalid(f"{name[:64]!r} is there twice")
        names.add(name)
        if name == _METADATA:
            properties = _metadata(value)
        else:
            entries.append(_entry(name, value))
        if len(entries) > MAX_TENSORS:
            raise _invalid(f"it has more than {MAX_TENSORS} tensors")
    _check_cover(entries, data_bytes)
    entries.sort(key=lambda entry: entry.tensor.name)
    return FileFacts(Format.SAFETENSORS, tensors=[entry.tensor for entry in entries], properties=properties)


def _header_bytes(content: Content) -> int:
    return int.from_bytes(content.read(0, _LENGTH_BYTES), "little")


def _members(header: str) -> Iterator[tuple[str, Any]]:
    """The members of the JSON object, one at a time."""
    if not header.startswith("{"):
        raise _invalid("the header does not begin with {")
    position = _skip(header, 1)
    if header.startswith("}", position):
        _check_end(header, position + 1)
        return
    while True:
        if not header.startswith('"', position):
            raise _invalid(f"the header is not JSON at character {position}")
        name, position = _value(header, position, _MAX_ENTRY)
        position = _expect(header, position, ":")
        value, position = _value(header, position, _MAX_METADATA if name == _METADATA else _MAX_ENTRY)
        yield name, value
        position = _skip(header, position)
        if header.startswith("}", position):
            _check_end(header, position + 1)
            return
        position = _expect(header, position, ",")


def _value(header: str, position: int, longest: int) -> tuple[Any, int]:
    """The JSON value at ``position``, of at most ``longest`` characters, and where it ends."""
    text = header[position : position + longest]
    try:
        value, length = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"the header is not JSON, or too long a part of it, at character {position}") from error
    return value, position + length


def _expect(header: str, position: int, character: str) -> int:
    position = _skip(header, position)
    if not header.startswith(character, position):
        raise _invalid(f"the header is not JSON at character {position}")
    return _skip(header, position + 1)


def _skip(header: str, position: int) -> int:
    space = _SPACE.match(header, position)
    assert space is not None
    return space.end()


def _check_end(header: str, position: int) -> None:
    if _skip(header, position) != len(header):
        raise _invalid("there is more in the header than one JSON object")


def _members_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is there twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members_once, parse_constant=_no_constant)


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise _invalid("__metadata__ must map texts to texts")
    # NUL cannot be stored, and nobody reads a property that long.
    return {key[:255]: text[:_MAX_PROPERTY] for key, text in value.items() if "\0" not in key + text}


def _entry(name: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise _invalid(f"tensor {name[:64]!r} must have dtype, shape and data_offsets, and nothing else")
    if len(name) > 1024 or "\0" in name:
        raise _invalid("a tensor's name may have at most 1024 characters, and no NUL")
    kind = value["dtype"]
    if not isinstance(kind, str) or kind not in _TYPES:
        raise _invalid(f"tensor {name[:64]!r} has the unknown dtype {str(kind)[:32]!r}")
    shape, offsets = value["shape"], value["data_offsets"]
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise _invalid(f"tensor {name[:64]!r} has a shape or offsets that are not sizes")
    bits, datatype = _TYPES[kind]
    size_bits = math.prod(shape) * bits
    begin, end = offsets
    if size_bits > MAX_INT64:
        raise _invalid(f"the shape of tensor {name[:64]!r} overflows")
    if size_bits % 8 or end - begin != size_bits // 8:
        raise _invalid(f"tensor {name[:64]!r} has {end - begin} bytes where its shape needs {size_bits / 8:g}")
    return _Entry(begin, end, Tensor(name, datatype, tuple(shape)))


def _are_sizes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_RANK
        and all(type(each) is int and 0 <= each <= MAX_INT64 for each in value)
    )


def _check_cover(entries: list[_Entry], data_bytes: int) -> None:
    """The tensors must fill the data exactly: no hole, no overlap, nothing left over."""
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            what = "overlaps another" if entry.begin < position else "leaves a hole before it"
            raise _invalid(f"tensor {entry.tensor.name[:64]!r} {what}")
        position = entry.end
    if position != data_bytes:
        raise _invalid(f"the tensors end at byte {position} of {data_bytes}")


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid safetensors file: {what}.", format="safetensors")

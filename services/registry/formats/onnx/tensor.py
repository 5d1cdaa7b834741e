"""Reads a TensorProto of an ONNX model: its name, type and shape, and where its bytes are; not the bytes."""

import math
import re
from typing import TypeAlias

from services.registry.formats.facts import MAX_INT64, ExternalData, Tensor
from services.registry.formats.wire import Malformed, Reader, Span, signed

MAX_NAME = 1024
MAX_RANK = 64
_LOCATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}", re.ASCII)
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14
_EXTERNAL = 1

# By TensorProto.DataType: the type in Open Inference Protocol notation (our own spelling where it has none) and
# the bits of one element in raw_data (0: not raw).
TYPES: dict[int, tuple[str, int]] = {
    1: ("FP32", 32),
    2: ("UINT8", 8),
    3: ("INT8", 8),
    4: ("UINT16", 16),
    5: ("INT16", 16),
    6: ("INT32", 32),
    7: ("INT64", 64),
    8: ("BYTES", 0),
    9: ("BOOL", 8),
    10: ("FP16", 16),
    11: ("FP64", 64),
    12: ("UINT32", 32),
    13: ("UINT64", 64),
    14: ("COMPLEX64", 64),
    15: ("COMPLEX128", 128),
    16: ("BF16", 16),
    17: ("FP8_E4M3", 8),
    18: ("FP8_E4M3FNUZ", 8),
    19: ("FP8_E5M2", 8),
    20: ("FP8_E5M2FNUZ", 8),
    21: ("UINT4", 4),
    22: ("INT4", 4),
    23: ("FP4", 4),
    24: ("FP8_E8M0", 8),
    25: ("UINT2", 2),
    26: ("INT2", 2),
    27: ("FP6_E2M3", 6),
    28: ("FP6_E3M2", 6),
}


_Fields: TypeAlias = dict[int, list[int | Span]]


def read_tensor(reader: Reader, span: Span) -> tuple[Tensor, ExternalData | None]:
    """The tensor, and the place of its bytes where that is another file.

    Raises:
        Malformed: type, shape, size or place break a rule.
    """
    fields: _Fields = {number: [] for number in (_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION)}
    for number, value in reader.fields(span):
        if number in fields:
            fields[number].append(value)
    name = "".join(reader.text(value) for value in fields[_NAME][-1:] if isinstance(value, Span))
    kind = next((value for value in fields[_DATA_TYPE][-1:] if isinstance(value, int)), 0)
    tensor = _described(name, kind, _dims(reader, fields[_DIMS]))
    if fields[_EXTERNAL_DATA] or fields[_DATA_LOCATION][-1:] == [_EXTERNAL]:
        spans = [value for value in fields[_EXTERNAL_DATA] if isinstance(value, Span)]
        entries = dict(read_entry(reader, entry) for entry in spans)
        return tensor, _external(name, entries, _size(tensor, TYPES[kind][1]))
    for raw in fields[_RAW_DATA][-1:]:
        return _placed(tensor, TYPES[kind][1], raw), None
    return tensor, None


def read_entry(reader: Reader, span: Span) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    texts = {number: reader.text(value) for number, value in reader.fields(span) if isinstance(value, Span)}
    return texts.get(1, ""), texts.get(2, "")


def _dims(reader: Reader, values: list[int | Span]) -> list[int]:
    dims: list[int] = []
    for value in values:  # one by one, or packed, or both
        dims += map(signed, [value] if isinstance(value, int) else reader.varints(value))
    return dims


def _described(name: str, kind: int, dims: list[int]) -> Tensor:
    if kind not in TYPES:
        raise Malformed(f"tensor {name[:64]!r} has the unknown type {kind}")
    if len(name) > MAX_NAME or len(dims) > MAX_RANK:
        raise Malformed(f"a tensor's name may have at most {MAX_NAME} characters, and its shape {MAX_RANK} dimensions")
    if any(dim < 0 for dim in dims) or math.prod(dims) > MAX_INT64 // 128:
        raise Malformed(f"the shape of tensor {name[:64]!r} is negative or overflows")
    return Tensor(name, TYPES[kind][0], tuple(dims))


def _size(tensor: Tensor, bits: int) -> int:
    return (math.prod(tensor.shape) * bits + 7) // 8


def _placed(tensor: Tensor, bits: int, raw: int | Span) -> Tensor:
    """The tensor with the place of its raw_data."""
    size, wanted = raw.size if isinstance(raw, Span) else -1, _size(tensor, bits)
    if isinstance(raw, int) or (bits and size != wanted):
        raise Malformed(f"tensor {tensor.name[:64]!r} has {size} bytes where its shape needs {wanted}")
    return tensor._replace(begin=raw.begin, end=raw.end) if bits else tensor


def _external(tensor: str, entries: dict[str, str], wanted: int) -> ExternalData:
    location = entries.get("location", "")
    if not _LOCATION.fullmatch(location):
        raise Malformed(f"tensor {tensor[:64]!r} wants its data from {location[:128]!r}, which is no file here")
    offset, length = (entries.get(key, default) for key, default in (("offset", "0"), ("length", str(wanted))))
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in (offset, length)):
        raise Malformed(f"tensor {tensor[:64]!r} has an offset or a length that is no size")
    if int(length) < wanted:
        raise Malformed(f"tensor {tensor[:64]!r} has {length} bytes elsewhere where its shape needs {wanted}")
    return ExternalData(location, int(offset) + int(length))

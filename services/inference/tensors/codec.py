"""Between bytes and arrays, after the Open Inference Protocol's raw representation.

Numbers are the array's memory in row-major order, little-endian, and are not copied on the way in. An element of BYTES
is its length (uint32, little-endian) followed by that many bytes.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from headwater.tensors import byte_strings, equal_elements
from headwater.tensors import to_raw as to_raw
from services.inference.tensors.datatypes import numpy_type
from services.inference.tensors.errors import InvalidTensor, shown
from services.inference.tensors.model import Array, Tensor

_LENGTH = struct.Struct("<I")
_SMALL = 2**12  # bytes, that are sooner copied than looked at
_MANY = 32  # elements; with fewer it costs more to look whether they are equally long
_MAX_RANK = 32  # numpy stops at 64; no model comes near either
_SHOWN_DIGITS = 24
_MAX_ELEMENTS = 2**31  # protobuf stops at 2 GiB a message


def from_raw(name: str, datatype: str, shape: Sequence[int], raw: bytes | memoryview) -> Tensor:
    """The tensor in ``raw``. Numbers share its memory and are read-only.

    Raises:
        InvalidTensor: shape, element type and bytes do not fit together.
    """
    dtype = numpy_type(datatype, name)
    dimensions, count = check_shape(name, shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, _parse_bytes(name, raw, count).reshape(dimensions))
    if count * dtype.itemsize != len(raw):
        raise InvalidTensor(
            f"{shown(name)}: {datatype} of shape {list(dimensions)} takes {count * dtype.itemsize} bytes; "
            f"{len(raw)} came."
        )
    if datatype == "BOOL" and count and (octets := np.frombuffer(raw, np.uint8)).max() > 1:
        raise InvalidTensor(f"{shown(name)}: a BOOL is the byte 0 or 1; {octets[octets > 1][0]} came.")
    return Tensor(name, datatype, np.frombuffer(raw, dtype).reshape(dimensions))


def raw_view(tensor: Tensor) -> bytes | memoryview:
    """The raw representation, of which numbers are not copied if they lie one after the other: they must not change."""
    array = tensor.array
    if tensor.datatype == "BYTES" or array.nbytes < _SMALL or not array.flags.c_contiguous:
        return to_raw(tensor)
    return array.reshape(-1).view(np.uint8).data


def from_values(name: str, datatype: str, shape: Sequence[int], values: Sequence[object]) -> Tensor:
    """The tensor of these numbers or byte strings, in row-major order.

    Raises:
        InvalidTensor: their number is not what the shape says, or a number does not fit into the element type.
    """
    dtype = numpy_type(datatype, name)
    dimensions, count = check_shape(name, shape)
    if count != len(values):
        raise InvalidTensor(f"{shown(name)}: shape {list(dimensions)} takes {count} elements; {len(values)} came.")
    if datatype == "BYTES":
        return Tensor(name, datatype, byte_strings(values).reshape(dimensions))
    try:
        array = np.array(values, dtype)
    except OverflowError as error:
        raise InvalidTensor(f"{shown(name)}: {_outside(datatype, dtype, values)}.") from error
    return Tensor(name, datatype, array.reshape(dimensions))


def _outside(datatype: str, dtype: "np.dtype[Any]", values: Sequence[object]) -> str:
    """Which number does not fit into the element type, if that can be told."""
    if dtype.kind not in "iu":
        return f"a number is outside of the range of {datatype}"
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    numbers = ((at, value) for at, value in enumerate(values) if isinstance(value, int) and not least <= value <= most)
    which, value = next(numbers, (0, "a number"))
    return f"element {which} is {_short(value)}, outside of the range of {datatype} ({least} to {most})"


def check_shape(name: str, shape: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """The shape and how many elements it has.

    Raises:
        InvalidTensor: no tensor can have it.
    """
    if len(shape) > _MAX_RANK:
        raise InvalidTensor(f"{shown(name)}: a shape may have {_MAX_RANK} dimensions; {len(shape)} came.")
    dimensions = tuple(shape)
    if dimensions and min(dimensions) < 0:
        raise InvalidTensor(
            f"{shown(name)}: no dimension of a request may be negative; shape is {_listed(dimensions)}."
        )
    # Also where a 0 makes the tensor empty, so that it has no bytes that would have to come.
    if math.prod(max(dimension, 1) for dimension in dimensions) >= _MAX_ELEMENTS:
        raise InvalidTensor(
            f"{shown(name)}: shape {_listed(dimensions)} is larger than any tensor can be ({_MAX_ELEMENTS} elements)."
        )
    return dimensions, math.prod(dimensions)


def _listed(dimensions: Sequence[int]) -> str:
    """A shape that may have numbers of any length, as an error shows it."""
    return f"[{', '.join(_short(each) for each in dimensions)}]"


def _short(number: object) -> str:
    text = str(number)
    return f"{text[:_SHOWN_DIGITS]}…" if len(text) > _SHOWN_DIGITS else text


def _parse_bytes(name: str, raw: bytes | memoryview, count: int) -> Array:
    if count * _LENGTH.size > len(raw):  # before anything is allocated for them
        raise InvalidTensor(
            f"{shown(name)}: {count} elements of BYTES take at least {count * _LENGTH.size} bytes; {len(raw)} came."
        )
    raw = bytes(raw)  # of a view a copy, of bytes none
    if count >= _MANY and (equal := equal_elements(raw, count)) is not None:
        return byte_strings(equal)
    elements = []
    position = 0
    for index in range(count):
        start = position + _LENGTH.size
        if start > len(raw):
            raise InvalidTensor(f"{shown(name)}: the bytes end before element {index} of {count}.")
        position = start + _LENGTH.unpack_from(raw, position)[0]
        if position > len(raw):
            raise InvalidTensor(
                f"{shown(name)}: element {index} claims {position - start} bytes; {len(raw) - start} are left."
            )
        elements.append(raw[start:position])
    if position != len(raw):
        raise InvalidTensor(f"{shown(name)}: {len(raw) - position} bytes are left after {count} elements.")
    return byte_strings(elements)

"""Tensors in JSON: flat lists, or lists within lists as the shape says; row-major either way.

FP16 are numbers like all others, BF16 only on the way out. Texts of BYTES are UTF-8. NaN and the infinities are the
words NaN, Infinity and -Infinity, which strict readers of JSON do not take: those should ask for binary data.
"""

import itertools
from typing import Any

import numpy as np

from services.inference.errors import InvalidRequest
from services.inference.tensors.codec import check_shape, from_values
from services.inference.tensors.errors import InvalidTensor, shown
from services.inference.tensors.model import Array, Tensor

_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_NUMBERS: tuple[frozenset[type], str] = (frozenset({float, int}), "numbers")
_WHOLE: tuple[frozenset[type], str] = (frozenset({int}), "whole numbers")
_KINDS = {
    **dict.fromkeys(_FLOATS, _NUMBERS),
    "BYTES": (frozenset({str}), "texts"),
    "BOOL": (frozenset({bool}), "true and false"),
}


def from_json(name: str, datatype: str, shape: list[int], data: Any) -> Tensor:
    """The tensor that ``data`` of a request says.

    Raises:
        InvalidTensor: they do not fit together.
    """
    if datatype == "BF16":
        raise InvalidTensor(f"{shown(name)}: BF16 must come as binary data.")
    if not isinstance(data, list):
        raise InvalidTensor(f"{shown(name)}: data must be a list.")
    check_shape(name, shape)
    values = _flat(name, data, shape)
    _check_kinds(name, datatype, values)
    if datatype == "BYTES":
        try:
            return from_values(name, datatype, shape, [text.encode() for text in values])
        except UnicodeEncodeError as error:
            raise InvalidTensor(f"{shown(name)}: a text is no Unicode.") from error
    with np.errstate(over="ignore"):
        tensor = from_values(name, datatype, shape, values)
    if datatype in _FLOATS and _overflowed(tensor.array, values):
        raise InvalidTensor(f"{shown(name)}: a number is outside of the range of {datatype}.")
    return tensor


def to_json(tensor: Tensor) -> list[Any]:
    """The values as a flat list.

    Raises:
        InvalidRequest: they are byte strings that are no text.
    """
    array = tensor.array.ravel()
    if tensor.datatype == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")  # its upper half, so nothing is lost
    if tensor.datatype != "BYTES":
        values: list[Any] = array.tolist()
        return values
    try:
        return [element.decode() for element in array]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The output {shown(tensor.name)} is no text in UTF-8; ask for binary data.") from error


def _flat(name: str, data: list[Any], shape: list[int]) -> list[Any]:
    values, dimensions = data, [len(data)]
    while values and isinstance(values[0], list):
        lengths = {len(each) if isinstance(each, list) else -1 for each in values}
        if len(lengths) != 1 or -1 in lengths or len(dimensions) >= len(shape):
            raise InvalidTensor(f"{shown(name)}: the lists of data do not have the shape {shape}.")
        dimensions.append(lengths.pop())
        values = list(itertools.chain.from_iterable(values))
    if len(dimensions) > 1 and dimensions != shape:
        raise InvalidTensor(f"{shown(name)}: shape is {shape}; the lists of data have {dimensions}.")
    return values


def _check_kinds(name: str, datatype: str, values: list[Any]) -> None:
    wanted, what = _KINDS.get(datatype, _WHOLE)
    if not wanted.issuperset(map(type, values)):
        raise InvalidTensor(f"{shown(name)}: data of {datatype} must be {what}; something else came.")


def _overflowed(array: Array, values: list[Any]) -> bool:
    infinite = np.isinf(array)
    return bool(infinite.any()) and bool((np.abs(np.array(values, float)[infinite.ravel()]) != np.inf).any())

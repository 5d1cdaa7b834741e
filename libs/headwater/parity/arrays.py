"""Arrays as tensors of the Open Inference Protocol."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from headwater.parity.errors import ParityInvalid
from headwater.tensors import NUMPY_TYPES, Array, Tensor, byte_strings

_DATATYPES: Final = {dtype: name for name, dtype in NUMPY_TYPES.items() if name not in ("BF16", "BYTES")}


def named_arrays(arrays: Mapping[str, Array]) -> tuple[Tensor, ...]:
    """Arrays as tensors of the protocol.

    Raises:
        ParityInvalid: an array is of a type that the protocol has not.
    """
    return tuple(as_tensor(name, array) for name, array in arrays.items())


def as_tensor(name: str, array: Array) -> Tensor:
    """An array as a tensor of the protocol; text as BYTES in UTF-8."""
    if array.dtype.kind in "OUS":
        elements = [each if isinstance(each, bytes) else str(each).encode() for each in array.flat]
        return Tensor(name, "BYTES", byte_strings(elements).reshape(array.shape))
    dtype = array.dtype.newbyteorder("<")
    if dtype not in _DATATYPES:
        raise ParityInvalid(f"{name}: arrays of {array.dtype} cannot be sent.", field=name)
    return Tensor(name, _DATATYPES[dtype], np.ascontiguousarray(array, dtype))

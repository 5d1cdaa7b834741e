"""Element types of the Open Inference Protocol, as requests name them."""

from typing import Any

import numpy as np

from headwater.tensors import NUMPY_TYPES as NUMPY_TYPES
from services.inference.tensors.errors import InvalidTensor, shown


def numpy_type(datatype: str, name: str) -> np.dtype[Any]:
    """The numpy type for the element type of the tensor ``name``.

    Raises:
        InvalidTensor: there is no such element type.
    """
    dtype = NUMPY_TYPES.get(datatype)
    if dtype is None:
        known = ", ".join(NUMPY_TYPES)
        raise InvalidTensor(f"{shown(name)}: datatype must be one of {known}; it is {shown(datatype)}.")
    return dtype

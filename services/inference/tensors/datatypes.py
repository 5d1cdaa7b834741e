"""Element types of the Open Inference Protocol and the numpy types that hold them.

BF16 has no numpy type: its arrays hold the 16 bits as they are (uint16). BYTES arrays hold ``bytes`` objects.
All numbers are little-endian, as the protocol prescribes.
"""

from typing import Any

import numpy as np

from services.inference.tensors.errors import InvalidTensor, shown

NUMPY_TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(np.object_),
}


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

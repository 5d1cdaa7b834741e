"""The two kinds of pieces that encoded values are made of.

Heads are the fixed-width beginnings of n values, as an n x width matrix of bytes that each column writes its part of,
one strided numpy assignment per field. Bodies are what follows a head, of any length, as an Arrow large_binary array
with one entry per value and no nulls; most of them share the bytes of the column they come from.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_TYPE = pa.large_binary()
_NOTHING = pa.Array.from_buffers(_TYPE, 1, [None, pa.py_buffer(bytes(16)), pa.py_buffer(b"")])[0]
"""An empty value. Not from ``pa.scalar``, which would import pandas for nothing."""

Offsets = npt.NDArray[np.int64]


class Heads:
    """``rows`` heads of ``width`` bytes each, zero until written."""

    def __init__(self, rows: int, width: int) -> None:
        self.rows = rows
        self.width = width
        self._bytes = np.zeros(rows * width, np.uint8)

    def put(self, at: int, dtype: npt.DTypeLike, values: npt.ArrayLike) -> None:
        """Write one value per head (or the same into all), ``at`` bytes from each head's beginning."""
        if self.rows:
            np.ndarray((self.rows,), dtype, self._bytes, offset=at, strides=(self.width,))[:] = values

    def as_body(self, ends: Offsets) -> pa.Array:
        """The heads as bodies of something that holds several of them: the i-th has heads ends[i] to ends[i+1]."""
        return body(self._bytes, ends * self.width)


def body(data: object, offsets: Offsets) -> pa.Array:
    """A large_binary array over ``data`` (any contiguous buffer), without copying it."""
    return pa.Array.from_buffers(_TYPE, len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def offsets_of(array: pa.Array) -> Offsets:
    """The len + 1 offsets of a large_binary array, which may be a slice of a longer one."""
    buffer = array.buffers()[1]
    if len(array) == 0 or buffer is None:
        return np.zeros(len(array) + 1, np.int64)
    return np.frombuffer(buffer, np.int64, array.offset + len(array) + 1)[array.offset :]


def ends_of(lengths: npt.NDArray[np.integer]) -> Offsets:
    """Offsets, beginning at 0, of consecutive pieces of these lengths."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return ends


def join(bodies: Sequence[pa.Array]) -> pa.Array:
    """The concatenation, value by value, of one or more bodies."""
    return bodies[0] if len(bodies) == 1 else pc.binary_join_element_wise(*bodies, _NOTHING)

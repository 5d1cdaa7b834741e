"""Arrow arrays in the forms that their logical values can be read from.

One logical column can arrive dictionary-encoded, as views, sliced, or with garbage under its nulls. Forms that can
stand for far more bytes than they hold (dictionaries, views) are unfolded only up to a bound, so that a small batch
cannot ask for a large amount of memory.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

UNFOLD_MAX_BYTES = 64 << 20


class UnfoldError(Exception):
    """These rows, taken together, are too large to encode at once; fewer of them may not be."""


def bound(size_bytes: int) -> None:
    """Raise UnfoldError when something about to be made would be too large."""
    if size_bytes > UNFOLD_MAX_BYTES:
        raise UnfoldError


def plain(array: pa.Array) -> pa.Array:
    """The array without extension types and dictionaries around its values."""
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif isinstance(array, pa.DictionaryArray):
            if len(array) * array.dictionary.nbytes > UNFOLD_MAX_BYTES:
                bound(int(_byte_lengths(array.dictionary, _numbers(array.indices)).sum()))
            array = array.dictionary_decode()
        else:
            return array


def _numbers(indices: pa.Array) -> npt.NDArray[np.int64]:
    return np.asarray(indices.fill_null(0).cast(pa.int64()))


def _byte_lengths(array: pa.Array, at: Any = slice(None)) -> npt.NDArray[np.int64]:
    """How long the values of a string, binary or fixed-width array are, at some positions."""
    kind = array.type
    end = array.offset + len(array)
    if _is_view(array):
        # A view is 16 bytes and begins with the value's length.
        lengths = np.frombuffer(array.buffers()[1], np.int32, 4 * end)[4 * array.offset :: 4]
        return np.asarray(lengths[at], np.int64)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        offsets = np.frombuffer(array.buffers()[1], np.int32, end + 1)
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        offsets = np.frombuffer(array.buffers()[1], np.int64, end + 1)
    else:
        return np.asarray(np.full(len(array), (kind.bit_width + 7) // 8)[at], np.int64)
    return np.asarray(np.diff(offsets[array.offset :])[at], np.int64)


def _is_view(array: pa.Array) -> bool:
    return bool(pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type))


def bytes_of(array: pa.Array) -> pa.Array:
    """A string or binary array of any form as large_binary, with b"" for null."""
    if _is_view(array) and len(array):
        bound(int(_byte_lengths(array).sum()))
    array = array.cast(pa.large_binary())
    # Also rewrites what lies under nulls, which may be anything.
    return array.fill_null(b"") if array.null_count else array


def validity(array: pa.Array) -> npt.NDArray[np.uint8] | int:
    """1 where there is a value and 0 where there is none; just 1 when there are no nulls."""
    if array.null_count == 0:
        return 1
    return np.asarray(array.is_valid().cast(pa.uint8()))


def numbers_of(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The fixed-width values of ``array`` as ``dtype``, zero where there is none; a view where that is possible."""
    buffer = array.buffers()[1]
    if len(array) == 0 or buffer is None:
        return np.zeros(len(array), dtype)
    values = np.frombuffer(buffer, dtype, array.offset + len(array))[array.offset :]
    if array.null_count:
        values = values.copy()
        values[validity(array) == 0] = np.zeros((), dtype)
    return values


def elements_of(array: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """How many elements each list (or map) has, none for null, and all those elements in order, made plain."""
    if isinstance(array, pa.MapArray):
        entry = pa.struct([pa.field("key", array.type.key_type), pa.field("value", array.type.item_type)])
        array = array.cast(pa.list_(entry))
    counts = pc.list_value_length(array).fill_null(0).cast(pa.int64())
    return np.asarray(counts), plain(array.flatten())

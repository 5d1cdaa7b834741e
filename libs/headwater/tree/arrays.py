"""Arrow arrays in the forms that their logical values can be read from.

One logical column can arrive dictionary-encoded, as views, sliced, or with garbage under its nulls. Forms that can
stand for far more bytes than they hold (dictionaries, views) are unfolded only up to a bound, so that a small batch
cannot ask for a large amount of memory.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
            if _is_view(array.dictionary):
                array = pa.DictionaryArray.from_arrays(array.indices, bytes_of(array.dictionary))
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
    offsets = _list_offsets(array)
    counts = np.diff(offsets)
    elements = array.values.slice(offsets[0], offsets[-1] - offsets[0])
    if array.null_count:
        valid = np.asarray(validity(array)) == 1
        if counts[~valid].any():
            elements = _under(elements, counts, valid)
        counts = np.where(valid, counts, 0)
    return counts, plain(elements)


def _under(elements: pa.Array, counts: npt.NDArray[np.int64], valid: npt.NDArray[np.bool_]) -> pa.Array:
    """The elements of the valid lists alone, when null ones have some too (which few writers do).

    Runs of valid lists are concatenated, because not every type has a kernel that could filter it.
    """
    ends = np.concatenate(([0], np.cumsum(counts)))
    changes = np.flatnonzero(np.diff(valid, prepend=False, append=False))
    runs = [elements.slice(ends[start], ends[end] - ends[start]) for start, end in changes.reshape(-1, 2)]
    return pa.concat_arrays(runs) if runs else elements.slice(0, 0)


def _list_offsets(array: pa.Array) -> npt.NDArray[np.int64]:
    """Where each list begins and the last one ends, in ``array.values``."""
    first, end = array.offset, array.offset + len(array) + 1
    if isinstance(array, pa.FixedSizeListArray):
        return np.arange(first, end, dtype=np.int64) * int(array.type.list_size)
    if len(array) == 0:
        return np.zeros(1, np.int64)
    dtype = np.int64 if isinstance(array, pa.LargeListArray) else np.int32
    return np.asarray(np.frombuffer(array.buffers()[1], dtype, end)[first:], np.int64)

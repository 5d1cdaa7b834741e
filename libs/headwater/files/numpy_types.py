"""NumPy arrays as Arrow arrays: rows along the first axis, never an object."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_DAYS = np.dtype("M8[D]")
_TIME_UNITS = {"s": "s", "ms": "ms", "us": "us", "ns": "ns"}


class UnsupportedDtype(ValueError):
    """Values that rows cannot have; the text says which."""


def arrow_type(dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> Any:
    """The type of a row's value, an array of this shape; a scalar without one.

    Raises:
        UnsupportedDtype: objects, complex numbers, extended precision and times in months or years.
    """
    if dtype.subdtype is not None:
        inner, own = dtype.subdtype
        return arrow_type(inner, (*shape, *own))
    kind = _scalar(dtype)
    for size in reversed(shape):
        kind = pa.list_(kind, size)
    return kind


def to_arrow(values: npt.NDArray[Any]) -> pa.Array:
    """The array's rows as values of ``arrow_type(values.dtype, values.shape[1:])``, each exactly, NaT as null.

    Raises:
        UnsupportedDtype: a dtype that only a field can have, or days that Arrow's dates cannot count.
    """
    if values.dtype.subdtype is not None:
        # NumPy itself unfolds such a dtype into axes.
        raise UnsupportedDtype(f"{values.dtype} is not the type of an array")
    flat = np.ascontiguousarray(values).reshape(-1)
    array = _flat(flat.astype(flat.dtype.newbyteorder("="), copy=False))
    for size in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _scalar(dtype: np.dtype[Any]) -> Any:
    if dtype.hasobject:
        raise UnsupportedDtype("it holds Python objects, which only unpickling could read")
    if dtype.names is not None:
        fields = ((name, arrow_type(dtype.fields[name][0])) for name in dtype.names)  # type: ignore[index]
        return pa.struct(list(fields))
    if dtype.kind in "mM":
        unit = np.datetime_data(dtype)
        if dtype.kind == "M" and unit == ("D", 1):
            return pa.date32()
        if unit[0] in _TIME_UNITS and unit[1] == 1:
            return pa.timestamp(unit[0]) if dtype.kind == "M" else pa.duration(unit[0])
    if dtype.kind == "U":
        return pa.string()
    if dtype.kind in "SV":
        return pa.binary()
    if dtype.kind == "b" or (dtype.kind in "iuf" and dtype.itemsize <= 8):
        return pa.from_numpy_dtype(dtype.newbyteorder("="))
    raise UnsupportedDtype(f"{dtype} is no type that rows can have")


def _flat(flat: npt.NDArray[Any]) -> pa.Array:
    kind = _scalar(flat.dtype)
    if flat.dtype.names is not None:
        children = [to_arrow(flat[name]) for name in flat.dtype.names]
        return pa.StructArray.from_arrays(children, fields=list(kind))
    if flat.dtype.kind == "V":
        width = flat.dtype.itemsize
        data = flat.tobytes()
        return pa.array([data[at : at + width] for at in range(0, len(data), width)], kind)
    if flat.dtype == _DAYS:
        _check_days(flat)
    return pa.array(flat, kind)


def _check_days(flat: npt.NDArray[Any]) -> None:
    days = flat[~np.isnat(flat)].view(np.int64)
    if days.size and (days.min() < -(2**31) or days.max() >= 2**31):  # Arrow would wrap them around
        raise UnsupportedDtype("it holds days outside the 2^32 around 1970 that a date can be")

"""Arrow columns as tensors, copied only where Arrow and torch cannot share memory."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import torch

from headwater.datasets.shapes import shape_of
from headwater.errors import InvalidArgument

_ALIGNMENT = 64


class NotATensor(InvalidArgument):
    """The column's values cannot be the rows of one tensor."""

    reason = "NOT_A_TENSOR"


def to_tensors(rows: pa.Table) -> dict[str, Any]:
    """Each column by its name: as a tensor, its first dimension the rows, or as a list of Python values.

    Tensors are made of numbers, booleans, and fixed-size lists of numbers (with the shape that the field's
    ``headwater.shape`` says); of timestamps, dates, times and durations, as integers in the column's unit.
    Texts, bytes, and all else are lists, of one value a row. Numbers share Arrow's memory when they lie in one piece
    and are aligned: write to a clone, not to the result.

    Every tensor begins at a multiple of 64 bytes. Kernels add up numbers in another order when it does not, and what
    comes by Flight lies anywhere: the same rows would give other last bits each time.

    Raises:
        NotATensor: a column of numbers or times has nulls.
    """
    converted = ((field.name, _converted(rows.column(index), field)) for index, field in enumerate(rows.schema))
    return {name: _aligned(value) if isinstance(value, torch.Tensor) else value for name, value in converted}


def to_tensor(column: pa.ChunkedArray, field: pa.Field) -> torch.Tensor:
    """A column of numbers, or of fixed-size lists of them, as one tensor: rows first, then the shape of a row's value.

    Raises:
        NotATensor: naming the column and its type, when it is none of these or has nulls.
    """
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # of extension types, and of no chunks
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    shape = shape_of(field)
    kind = field.type
    if isinstance(kind, pa.FixedShapeTensorType):
        shape, kind, values = shape or list(kind.shape), kind.storage_type, values.storage
    while pa.types.is_fixed_size_list(kind):
        if values.null_count:
            raise NotATensor(f"The column {field.name} has nulls.", column=field.name)
        shape, kind, values = shape or [kind.list_size], kind.value_type, values.flatten()
    if values.null_count or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise NotATensor(
            f"The column {field.name} of type {field.type} is not one of numbers without nulls.", column=field.name
        )
    try:
        return torch.utils.dlpack.from_dlpack(values).reshape(len(column), *shape)
    except RuntimeError as error:
        raise NotATensor(f"The values of {field.name} do not have the shape {shape}.", column=field.name) from error


def pinned(value: Any) -> Any:
    """``value`` with the tensors in it, however nested, in page-locked memory, from which a GPU reads by itself."""
    match value:
        case torch.Tensor():
            return value.pin_memory()
        case dict():
            return {key: pinned(item) for key, item in value.items()}
        case list():
            return [pinned(item) for item in value]
        case tuple() if type(value) is tuple:
            return tuple(pinned(item) for item in value)
    return value


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor


def _converted(column: pa.ChunkedArray, field: pa.Field) -> Any:
    kind = field.type
    for is_kind, convert in _CONVERSIONS:
        if is_kind(kind):
            return convert(column, field)
    return column.to_pylist()


def _from_booleans(column: pa.ChunkedArray, field: pa.Field) -> torch.Tensor:
    if column.null_count:
        raise NotATensor(f"The column {field.name} has nulls.", column=field.name)
    # Arrow packs eight into a byte, torch does not.
    return torch.from_numpy(column.to_numpy().astype(bool, copy=True))


def _from_times(column: pa.ChunkedArray, field: pa.Field) -> torch.Tensor:
    whole = pa.int32() if field.type.bit_width == 32 else pa.int64()
    return to_tensor(pa.chunked_array([chunk.view(whole) for chunk in column.chunks], whole), field.with_type(whole))


def _is_tensor(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.FixedShapeTensorType):
        return _is_tensor(kind.storage_type)
    if pa.types.is_fixed_size_list(kind):
        return _is_tensor(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


_CONVERSIONS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.ChunkedArray, pa.Field], Any]], ...] = (
    (_is_tensor, to_tensor),
    (pa.types.is_boolean, _from_booleans),
    (lambda kind: pa.types.is_temporal(kind) and kind.bit_width <= 64, _from_times),
)

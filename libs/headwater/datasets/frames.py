"""Rows in memory: as an Arrow table, a pandas or polars data frame, or NumPy arrays.

    frame = datasets.to_pandas(connection, "digits@v1.0.0", "train", columns=["label"], filter="label > 3")

Only the columns and rows that are asked for leave the server.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pyarrow as pa

from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.packages import require
from headwater.datasets.shapes import shape_of
from headwater.datasets.sources import describe, pin, read
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl


class Selection(TypedDict, total=False):
    """Which rows and columns; all, in their own order, if nothing is given."""

    columns: Sequence[str]
    """In this order."""
    filter: str
    """A condition (docs/reference/filters.md)."""
    view: str
    """Rows of this view of the version; together with ``filter``, rows of both."""
    checkpoint: str
    """The copy that this checkpoint of the version holds."""
    project: str
    """Where a reference such as ``digits@v1.0.0`` is looked up."""


def to_arrow(connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]) -> pa.Table:
    """The rows as an Arrow table, with the columns' metadata.

    ``version`` is a resource name or a reference, here and below, or a split's address, which says ``split`` too;
    ``Selection`` says what else can be asked for.

    Raises:
        NotFound, InvalidArgument: there is no such version, split, column or view, or the filter is wrong.
    """
    command = command_of(connection, version, split, **selection)
    batches = list(read(connection, command))
    return pa.Table.from_batches(batches) if batches else describe(connection, command).schema.empty_table()


def to_pandas(connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]) -> "pd.DataFrame":
    """The rows as a pandas data frame.

    Raises:
        PackageMissing: pandas is not installed.
    """
    require("pandas")
    # Column by column, each given back when it has been converted: less than twice the memory of the rows.
    table = to_arrow(connection, version, split, **selection)
    return table.to_pandas(split_blocks=True, self_destruct=True)


def to_polars(connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]) -> "pl.DataFrame":
    """The rows as a polars data frame, which shares Arrow's memory; fixed-size lists are polars' arrays.

    Raises:
        PackageMissing: polars is not installed.
        InvalidArgument: a decimal has more than the 38 digits that polars has.
    """
    polars = require("polars")
    table = to_arrow(connection, version, split, **selection)
    for number, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type):
            table = table.set_column(number, field.name, _narrowed(table.column(number), field))
    frame: pl.DataFrame = polars.from_arrow(table, rechunk=False)
    return frame


def _narrowed(values: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return values.cast(pa.decimal128(38, field.type.scale))
    except (pa.ArrowException, ValueError) as error:
        text = f"The decimals of {field.name} have more digits than the 38 of polars: {field.type}."
        raise InvalidArgument(text, column=field.name) from error


def to_numpy(
    connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]
) -> dict[str, "np.ndarray[Any, Any]"]:
    """Each column as an array, its first dimension the rows.

    Fixed-size lists of numbers have their other dimensions, as ``headwater.shape`` in the field's metadata says or as
    they are nested. Texts, bytes and what else NumPy has no type for are Python objects. A column of numbers or times
    with nulls is a ``numpy.ma.MaskedArray``.
    """
    table = to_arrow(connection, version, split, **selection)
    return {field.name: _array(table.column(index), field) for index, field in enumerate(table.schema)}


def command_of(
    connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]
) -> flight_pb2.GetCommand:
    """What asks the server for it."""
    pinned = pin(connection, version, split, project=selection.get("project", DEFAULT_PROJECT))
    return flight_pb2.GetCommand(
        version=pinned.name,
        split=pinned.split,
        columns=selection.get("columns", ()),
        filter=selection.get("filter", ""),
        view=selection.get("view", ""),
        checkpoint=selection.get("checkpoint", ""),
    )


def _array(column: pa.ChunkedArray, field: pa.Field) -> "np.ndarray[Any, Any]":
    shape, kind, values = shape_of(field), field.type, column
    if isinstance(kind, pa.FixedShapeTensorType):
        shape, kind = shape or list(kind.shape), kind.storage_type
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], kind)
    inner: list[int] = []
    while pa.types.is_fixed_size_list(kind) and not values.null_count:
        inner.append(kind.list_size)
        kind = kind.value_type
        values = pa.chunked_array([chunk.flatten() for chunk in values.chunks], kind)
    if not _is_plain(kind):
        return _objects(column)
    return _plain(values, kind).reshape(len(column), *(shape or inner))


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) and not pa.types.is_interval(kind))


def _plain(values: pa.ChunkedArray, kind: pa.DataType) -> "np.ndarray[Any, Any]":
    if not values.null_count:
        return values.to_numpy()  # type: ignore[no-any-return]
    zero = pa.scalar(0, pa.int64() if pa.types.is_temporal(kind) and kind.bit_width == 64 else pa.int32()).cast(kind)
    return np.ma.MaskedArray(values.fill_null(zero).to_numpy(), values.is_null().to_numpy())


def _objects(column: pa.ChunkedArray) -> "np.ndarray[Any, Any]":
    array = np.empty(len(column), object)
    array[:] = column.to_pylist()
    return array

"""Rows of a dataset version on their way into tensors, copied only where Arrow and torch cannot share memory."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from headwater import datasets
from headwater.client import Connection
from headwater.errors import InvalidArgument

if TYPE_CHECKING:
    import torch

SHAPE_KEY = b"headwater.shape"
"""Field metadata with the shape of each row's value, as a JSON list; the preprocessing writes it."""


class NotATensor(InvalidArgument):
    """The column's values cannot be the rows of one tensor."""

    reason = "NOT_A_TENSOR"


class Rows:
    """Some rows of a split: read as a stream, or once into memory."""

    def __init__(
        self, connection: Connection, version: str, split: str, columns: Sequence[str], shard: tuple[int, int]
    ) -> None:
        self._connection = connection
        self._version = version
        self._split = split
        self._columns = columns
        self._shard = shard

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, in batches of 1 to 4 MiB, without keeping them."""
        yield from self._reader()

    @cached_property
    def table(self) -> pa.Table:
        """All rows, in memory."""
        return self._reader().read_all()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def tensor(self, column: str) -> "torch.Tensor":
        """The column as one tensor: rows first, then the shape of a row's value.

        Numbers and fixed-size lists of numbers without nulls are taken as they lie in memory when they lie in one
        piece: write to a clone, not to the result.

        Raises:
            NotATensor: naming the column and its type.
        """
        field = self.table.schema.field(column)
        return to_tensor(self.table.column(column), field)

    def _reader(self) -> pa.RecordBatchReader:
        return datasets.reader(self._connection, self._version, self._split, columns=self._columns, shard=self._shard)


def to_tensor(column: pa.ChunkedArray, field: pa.Field) -> "torch.Tensor":
    """See Rows.tensor."""
    import torch

    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    shape = list(json.loads((field.metadata or {}).get(SHAPE_KEY, b"[]")))
    kind = field.type
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

"""A worker's share of a split, as a stream or in memory."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from headwater import datasets
from headwater.client import Connection

if TYPE_CHECKING:
    import torch


class Rows:
    """Some rows of a split: read as a stream, or once into memory."""

    def __init__(
        self,
        connection: Connection,
        version: str,
        checkpoint: str,
        split: str,
        columns: Sequence[str],
        shard: tuple[int, int],
    ) -> None:
        self._connection = connection
        self._version = version
        self._checkpoint = checkpoint
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
        from headwater.torch.tensors import to_tensor

        field = self.table.schema.field(column)
        return to_tensor(self.table.column(column), field)

    def _reader(self) -> pa.RecordBatchReader:
        return datasets.reader(
            self._connection,
            self._version,
            self._split,
            checkpoint=self._checkpoint,
            columns=self._columns,
            shard=self._shard,
        )

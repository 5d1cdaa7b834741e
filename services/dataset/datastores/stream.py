"""The rows of one split of a place, on their way to one reader."""

import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pyarrow as pa

from chassis.filters import Filter
from services.dataset.datastores.places import OpenPath
from services.dataset.datastores.thread import SourceThread
from services.dataset.rows.writer import Run


class LiveRows(Iterator[pa.RecordBatch]):
    """Rows that are read when they are asked for, in the thread of their place: a few megabytes are in memory at once.

    The place is closed when they are at their end, or nobody refers to them any more, as when a reader goes away.
    """

    def __init__(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], thread: SourceThread, run: Run[Any]
    ) -> None:
        self.schema = schema
        self._batches = batches
        self._thread = thread
        self._run = run
        # Not a generator's own end: that of one that was never begun does nothing.
        weakref.finalize(self, thread.end)

    def __next__(self) -> pa.RecordBatch:
        """The next rows.

        Raises:
            ReadStalled: nobody has asked for too long.
            What opening the path does, and InvalidFilter.
        """
        batches = self._batches
        batch = self._run(self._thread.do(lambda: next(batches, None)))
        if batch is None:
            self._thread.end()
            raise StopIteration
        return batch


def rows_of(
    opened: OpenPath, split: str, served: pa.Schema, schema: pa.Schema, condition: Filter | None, limit: int
) -> Generator[pa.RecordBatch, None, None]:
    """The rows among the split's first ``limit`` (-1: all) that satisfy the condition.

    Args:
        served: all columns, in the layout of a copy.
        schema: those that the reader gets.
    """
    left = limit
    for batch in opened.batches(split):
        taken = batch if left < 0 else batch.slice(0, left)
        rows = pa.Table.from_batches([taken]).cast(served)
        if condition is not None:
            rows = condition.select(rows)
        for found in rows.select(schema.names).combine_chunks().to_batches():
            yield pa.RecordBatch.from_arrays(found.columns, schema=schema)
        if left >= 0 and (left := left - taken.num_rows) == 0:
            return

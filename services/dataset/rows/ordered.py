"""Reading rows in an order: a window at a time is gathered from the packs into memory of its own.

While a window is sent, nothing but it and the batch under way is held; the pages of the packs that it came from are
given back to the system, so that a pass over a split does not leave all of it in the process's memory.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from services.dataset.model import Chunk
from services.dataset.orders.order import Numbers, Order, Window, places_in, rows_in
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.matching import Matching
from services.dataset.rows.writer import Run

_BATCH_BYTES = 2 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class OrderedRead:
    """Which places of an order are read, and how their rows are to look."""

    chunks: Sequence[Chunk]
    order: Order
    matching: Matching | None
    schema: pa.Schema
    first: int
    end: int
    shard: tuple[int, int]
    batch_rows: int
    """Rows of a global batch; 0: all places are read."""

    def batches(self, packs: MappedPacks, run: Run[Any]) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of about 2 MiB. For a thread other than the event loop's."""
        for window in self.order.overlapping(self.first, self.end):
            places = places_in(window, self.first, self.end, self.shard, self.batch_rows, self.order.count)
            if len(places):
                yield from self._gather(window, self._rows(window)[places], packs, run)

    def _rows(self, window: Window) -> Numbers:
        row_counts = [chunk.row_count for chunk in self.chunks]
        masks = None
        if self.matching is not None:
            masks = _Masks(self.matching)
        return rows_in(window, row_counts, masks, self.order.shuffle)

    def _gather(self, window: Window, rows: Numbers, packs: MappedPacks, run: Run[Any]) -> Iterator[pa.RecordBatch]:
        chunks = [self.chunks[number] for number in window.chunks]
        starts = np.cumsum([0, *(chunk.row_count for chunk in chunks)])
        # Only the chunks that hold one of the rows are read.
        wanted = np.unique(np.searchsorted(starts, rows, side="right") - 1)
        opened = run(packs.open(dict.fromkeys(chunks[number].placement.pack for number in wanted)))
        batches, moved, at = [], np.zeros(len(chunks), np.int64), 0
        for number in wanted.tolist():
            place = chunks[number].placement
            batch = opened[place.pack].rows(place.block, place.block_row, chunks[number].row_count)
            batches.append(
                pa.RecordBatch.from_arrays([batch.column(name) for name in self.schema.names], schema=self.schema)
            )
            moved[number] = at - starts[number]
            at += chunks[number].row_count
        table = pa.Table.from_batches(batches, self.schema).combine_chunks()
        for pack in opened.values():
            pack.release()
        rows = rows + moved[np.searchsorted(starts, rows, side="right") - 1]
        step = max(1, table.num_rows * _BATCH_BYTES // max(1, table.nbytes))
        is_run = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            found = table.slice(int(part[0]), len(part)) if is_run else table.take(pa.array(part))
            yield from found.combine_chunks().to_batches()


class _Masks(Sequence[Any]):
    """The masks of chunks, unpacked when they are asked for."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def __len__(self) -> int:
        return len(self._matching.counts)

    def __getitem__(self, chunk: Any) -> Any:
        return self._matching.mask(chunk)

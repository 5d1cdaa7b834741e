"""Reading rows in an order: a window at a time is gathered from the packs into memory of its own.

While a window is sent nothing else is held; of many readers who share the rows each gathers only its own. The pages of
the packs are given back to the system when a window is gathered, so that a pass over a split does not leave all of it
in the process's memory.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from chassis import memory
from services.dataset.model import Chunk
from services.dataset.orders.order import Numbers, Order, Window, places_in, rows_in
from services.dataset.rows.mapped import MappedPack, MappedPacks
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
        with memory.stream():
            for window in self.order.overlapping(self.first, self.end):
                places = places_in(window, self.first, self.end, self.shard, self.batch_rows, self.order.count)
                if len(places):
                    yield from self._gather(window, self._rows(window)[places], packs, run)

    def _rows(self, window: Window) -> Numbers:
        row_counts = [chunk.row_count for chunk in self.chunks]
        masks = _Masks(self.matching) if self.matching is not None else None
        return rows_in(window, row_counts, masks, self.order.shuffle)

    def _gather(self, window: Window, rows: Numbers, packs: MappedPacks, run: Run[Any]) -> Iterator[pa.RecordBatch]:
        chunks = [self.chunks[number] for number in window.chunks]
        starts = np.cumsum([0, *(chunk.row_count for chunk in chunks)])
        is_wanted = np.zeros(starts[-1], np.bool_)
        is_wanted[rows] = True
        own = [np.flatnonzero(is_wanted[start:end]) for start, end in itertools.pairwise(starts)]
        wanted = [(chunk, numbers) for chunk, numbers in zip(chunks, own, strict=True) if len(numbers)]
        opened = run(packs.open(chunk.placement.pack for chunk, _ in wanted))
        parts = [_part(opened[chunk.placement.pack], chunk, numbers, self.schema.names) for chunk, numbers in wanted]
        (gathered,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
        del parts
        for pack in opened.values():
            pack.release()
        # Where each row has come to lie when those that are not wanted are left out.
        places = (np.cumsum(is_wanted) - 1)[rows]
        yield from _in_order(pa.RecordBatch.from_arrays(gathered.columns, schema=self.schema), places)


def _part(pack: MappedPack, chunk: Chunk, numbers: Numbers, names: Sequence[str]) -> pa.RecordBatch:
    """Only the rows that are wanted leave their chunk."""
    place = chunk.placement
    rows = pack.rows(place.block, place.block_row, chunk.row_count).select(names).replace_schema_metadata()
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return rows.slice(int(numbers[0]), len(numbers))
    return rows.take(pa.array(numbers))


def _in_order(rows: pa.RecordBatch, places: Numbers) -> Iterator[pa.RecordBatch]:
    step = max(1, rows.num_rows * _BATCH_BYTES // max(1, rows.nbytes))
    is_in_order = bool((np.diff(places) == 1).all())
    for start in range(0, len(places), step):
        yield rows.slice(start, step) if is_in_order else rows.take(pa.array(places[start : start + step]))


class _Masks(Sequence[Any]):
    """The masks of chunks, unpacked when they are asked for."""

    def __init__(self, matching: Matching) -> None:
        self._matching = matching

    def __len__(self) -> int:
        return len(self._matching.counts)

    def __getitem__(self, chunk: Any) -> Any:
        return self._matching.mask(chunk)

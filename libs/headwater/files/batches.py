"""Batches of a size that streams well: 1 to 4 MiB, whatever the source's own batches are."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

MIN_BYTES = 1 << 20
MAX_BYTES = 4 << 20


def bounded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of 1 to 4 MiB; the last may be smaller, and one row may be larger than that.

    Batches without rows are left out. Holds at most one batch of the source and 1 MiB.
    """
    waiting: list[pa.RecordBatch] = []
    waiting_bytes = 0
    for batch in batches:
        for piece in _pieces(batch):
            waiting.append(piece)
            waiting_bytes += piece.nbytes
            if waiting_bytes >= MIN_BYTES:
                yield from _merged(waiting)
                waiting, waiting_bytes = [], 0
    yield from _merged(waiting)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces that are small enough to be added to what is less than a batch."""
    if batch.num_rows == 0:
        return
    if batch.nbytes <= MAX_BYTES - MIN_BYTES or batch.num_rows == 1:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _merged(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if batches:
        yield batches[0] if len(batches) == 1 else pa.concat_batches(batches)

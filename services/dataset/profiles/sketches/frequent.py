"""The most frequent values: the summary of Misra and Gries (1982), which takes batches of counted values as one value.

As in "Mergeable summaries" (Agarwal et al. 2012): when there are more values than counters, the count of the first one
that has no counter is taken off all of them. Each time, that many occurrences of ``capacity + 1`` values go together,
so that no count is too low by more than the number of all values divided by ``capacity + 1``.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Counts: TypeAlias = npt.NDArray[np.int64]


class FrequentValues:
    """At most ``capacity`` values with their counts."""

    def __init__(self, kind: pa.DataType, capacity: int) -> None:
        self._capacity = capacity
        self.values = pa.array([], kind)
        """The values that are counted, of type ``kind``, in no order."""
        self.counts: Counts = np.empty(0, np.int64)
        """For each of them a count that is not above the true one."""
        self.error = 0
        """No count is below the true one by more than this; 0: all counts are exact, and there are no other values."""

    def add(self, values: pa.Array, counts: Counts) -> None:
        """Take distinct values, none of them null, and how often each came."""
        if not len(values):
            return
        values, counts = self._reduce(values, counts)
        both = pa.table(
            {
                "value": pa.chunked_array([self.values, values]),
                "count": np.concatenate([self.counts, counts]),
            }
        )
        merged = both.group_by("value", use_threads=False).aggregate([("count", "sum")]).combine_chunks()
        values = pa.concat_arrays(merged["value"].chunks or [pa.array([], values.type)])
        self.values, self.counts = self._reduce(values, merged["count_sum"].to_numpy())

    def _reduce(self, values: pa.Array, counts: Counts) -> tuple[pa.Array, Counts]:
        if len(counts) <= self._capacity:
            return values, counts
        repeated = np.sort(counts[counts > 1])  # most values of many come once
        least = int(repeated[-self._capacity - 1]) if len(repeated) > self._capacity else 1
        self.error += least
        kept = np.flatnonzero(counts > least)
        return values.take(pa.array(kept)), counts[kept] - least

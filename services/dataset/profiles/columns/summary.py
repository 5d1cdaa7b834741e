"""What the summaries of all types have in common."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from services.dataset.profiles.limits import MANY_VALUES, Limits
from services.dataset.profiles.model import ColumnProfile, ValueCount
from services.dataset.profiles.sketches.distinct import DistinctSketch
from services.dataset.profiles.sketches.frequent import Counts, FrequentValues
from services.dataset.profiles.sketches.hashing import Words


class Summary(Protocol):
    """What is known of a column, and of those below it."""

    def add(self, values: pa.ChunkedArray) -> None:
        """Take the column's next values."""
        ...

    def profiles(self) -> Iterator[ColumnProfile]:
        """What is known: of the column, then of those below it."""
        ...


class Values:
    """Distinct and frequent values of a column."""

    def __init__(self, kind: pa.DataType, limits: Limits, text: Callable[[pa.Array], Iterable[str]]) -> None:
        self._limits = limits
        self._text = text
        self._frequent = FrequentValues(kind, limits.counted_values)
        self._distinct = DistinctSketch()
        self._uncounted = False

    def add(self, values: pa.Array, counts: Counts, hashes: Words) -> None:
        """Take distinct values, none of them null, how often each came, and their hashes."""
        self._frequent.add(values, counts)
        self._distinct.add(hashes)

    def add_uncounted(self, hashes: Words) -> None:
        """Take values that are too long to be counted."""
        self._distinct.add(hashes)
        self._uncounted = self._uncounted or len(hashes) > 0

    @property
    def distinct_estimate(self) -> int:
        """How many distinct values there were."""
        return len(self._frequent.values) if self._exact else self._distinct.estimate()

    @property
    def are_all(self) -> bool:
        """Whether ``top`` has every value with its exact count."""
        return self._exact and len(self._frequent.values) <= self._limits.listed_values

    @property
    def top(self) -> tuple[ValueCount, ...]:
        """The most frequent values; those of the same count in the order of their texts."""
        counts = self._frequent.counts
        limit = self._limits.listed_values if self.are_all else min(MANY_VALUES, self._limits.listed_values)
        # A value that is counted less often than others may be missed says nothing.
        shown = np.flatnonzero(counts > self._frequent.error)
        if len(shown) > limit:
            least = np.partition(counts[shown], -limit)[-limit]
            shown = shown[counts[shown] >= least]
        texts = self._text(self._frequent.values.take(pa.array(shown, pa.int64())))
        listed = [ValueCount(text, count) for text, count in zip(texts, counts[shown].tolist(), strict=True)]
        return tuple(sorted(listed, key=lambda each: (-each.count, each.value))[:limit])

    @property
    def _exact(self) -> bool:
        return self._frequent.error == 0 and not self._uncounted


class Presence:
    """How many values there are."""

    def __init__(self, column: str, kind: pa.DataType) -> None:
        self._column = column
        self._type = str(kind)
        self._count = 0
        self._null_count = 0

    def add(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Count the values; returns those that are not null."""
        self._null_count += values.null_count
        self._count += len(values) - values.null_count
        return values.drop_null() if values.null_count else values

    def profile(self, **facts: object) -> ColumnProfile:
        """The column's profile, with these facts more."""
        known = {"column": self._column, "type": self._type, "count": self._count, "null_count": self._null_count}
        profile = ColumnProfile(**{**known, **facts})  # type: ignore[arg-type]
        # An estimate can be above what is possible.
        return dataclasses.replace(profile, distinct_estimate=min(profile.distinct_estimate, self._count))


def counted(values: pa.ChunkedArray) -> tuple[pa.Array, Counts]:
    """The distinct values, none of which may be null, and their counts."""
    both = values.value_counts()
    return both.field("values"), both.field("counts").to_numpy()


def chunks_of(values: pa.ChunkedArray) -> Sequence[pa.Array]:
    """The arrays that have values."""
    return [chunk for chunk in values.chunks if len(chunk)]

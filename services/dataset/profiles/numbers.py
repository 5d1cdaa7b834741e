"""How numbers are distributed, from one pass over them."""

import math
from typing import Final

import numpy as np

from services.dataset.profiles.model import Bin, NumberProfile
from services.dataset.profiles.sketches.quantiles import Numbers, QuantileSketch

RANKS: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_WHOLE: Final = 2.0**53
"""Up to here, doubles know whole numbers."""


class NumberSummary:
    """Minimum, maximum, moments and quantiles of numbers that come sorted in batches, without NaN."""

    def __init__(self, sketch_size: int, bins: int) -> None:
        self._sketch = QuantileSketch(sketch_size)
        self._bins = bins
        self._minimum = math.inf
        self._maximum = -math.inf
        self._infinite = 0
        # Of the finite numbers:
        self._low, self._high = math.inf, -math.inf
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        """The sum of the squares of their distances from the mean."""

    def add(self, ordered: Numbers) -> None:
        """Take numbers in ascending order, infinite ones among them."""
        if not len(ordered):
            return
        self._sketch.add(ordered)
        self._minimum = min(self._minimum, float(ordered[0]))
        self._maximum = max(self._maximum, float(ordered[-1]))
        first = np.searchsorted(ordered, -math.inf, side="right")
        finite = ordered[first : np.searchsorted(ordered, math.inf, side="left")]
        self._infinite += len(ordered) - len(finite)
        if len(finite):
            self._low, self._high = min(self._low, float(finite[0])), max(self._high, float(finite[-1]))
            self._add_moments(finite)

    def result(self, *, whole: bool = False) -> NumberProfile | None:
        """What is known of them; None when there was none. ``whole``: they are whole numbers, and so are the bins."""
        if not self._sketch.count:
            return None
        quantiles = zip(RANKS, self._sketch.quantiles(RANKS), strict=True)
        return NumberProfile(
            minimum=self._minimum,
            maximum=self._maximum,
            mean=self._mean if self._count else math.nan,
            standard_deviation=math.sqrt(self._squares / self._count) if self._count else math.nan,
            # A sketch knows some numbers only, and perhaps neither end.
            quantiles=tuple((rank, min(max(value, self._minimum), self._maximum)) for rank, value in quantiles),
            histogram=self._histogram(whole),
            infinite_count=self._infinite,
        )

    def _add_moments(self, finite: Numbers) -> None:
        """Chan, Golub, LeVeque (1979): batches one after the other, without losing digits to large means."""
        count = len(finite)
        with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of the range have infinite squares
            mean = float(finite.mean())
            squares = float(np.square(finite - mean).sum())
        total, distance = self._count + count, mean - self._mean
        self._mean += distance * count / total
        self._squares += squares + distance * distance * self._count * count / total
        self._count = total

    def _histogram(self, whole: bool) -> tuple[Bin, ...]:
        if not self._count:
            return ()
        numbers, weights = self._sketch.weighted()
        low, high = self._low, self._high
        finite = np.isfinite(numbers)
        numbers, weights = numbers[finite], weights[finite]
        if low == high:
            return (Bin(low, high, self._count),)
        edges = _whole_edges(low, high, self._bins) if whole else _edges(low, high, self._bins)
        places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        counts = np.bincount(places, weights, len(edges) - 1)
        return tuple(
            Bin(lower, upper, round(count))
            for lower, upper, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        )


def _edges(low: float, high: float, bins: int) -> Numbers:
    # Not low + (high - low) * part: the difference of two doubles can be none.
    part = np.linspace(0, 1, bins + 1)
    return np.maximum.accumulate(np.clip(low * (1 - part) + high * part, low, high))


def _whole_edges(low: float, high: float, bins: int) -> Numbers:
    """Each bin has the same number of whole numbers in it, so that an even distribution looks even."""
    span = high - low + 1
    if span >= _WHOLE:
        return _edges(low, high, bins)
    width = math.ceil(span / bins)
    return low + width * np.arange(math.ceil(span / width) + 1, dtype=np.float64)

"""Quantiles: the sketch of Karnin, Lang and Liberty (2016, arXiv:1603.05346), for numbers that come sorted in batches.

Numbers stand on levels; one on level ``h`` stands for ``2 ** h`` of those that came. A level that is full is sorted and
every other number goes up. Whether it is the even or the odd ones is a coin that falls in a fixed order here, so that a
sketch is a function of what it was given; each time, no rank changes by more than ``2 ** h``, and the changes of many
times cancel out.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.dataset.profiles.sketches.hashing import mix

Numbers: TypeAlias = npt.NDArray[np.float64]

_COINS = (mix(np.arange(1 << 16, dtype=np.uint64)) & np.uint64(1)).astype(int).tolist()


class QuantileSketch:
    """At most ``size`` numbers on each of at most 64 levels; all of them, exactly, while there are not more.

    A batch that is larger than ``size`` is thinned out at once, which costs less and errs less than number by number.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._levels: list[Numbers] = []
        self._tosses = 0
        self.count = 0
        """Numbers that came."""
        self.max_rank_error = 0
        """No rank differs by more than this many numbers from the true one, wherever the coins fell; in practice, it is
        less than its square root times a few."""

    def add(self, ordered: Numbers) -> None:
        """Take numbers in ascending order, without NaN."""
        self.count += len(ordered)
        level = 0
        while len(ordered) > self._size:
            ordered = self._halve(ordered, level)
            level += 1
        self._put(level, ordered)

    def weighted(self) -> tuple[Numbers, npt.NDArray[np.int64]]:
        """The numbers that are left, in ascending order, and how many each stands for; together, ``count``."""
        if not self._levels:
            return np.empty(0), np.empty(0, np.int64)
        weights = np.concatenate([np.full(len(kept), 1 << level) for level, kept in enumerate(self._levels)])
        numbers = np.concatenate(self._levels)
        order = np.argsort(numbers, kind="stable")
        return numbers[order], weights[order]

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """For each rank from 0 to 1 the least number such that so large a part of all numbers is not above it.

        There must be a number.
        """
        numbers, weights = self.weighted()
        reached = np.cumsum(weights)
        found = np.searchsorted(reached, np.asarray(ranks) * self.count, side="left")
        return [float(number) for number in numbers[np.minimum(found, len(numbers) - 1)]]

    def _put(self, level: int, ordered: Numbers) -> None:
        while len(ordered):
            while len(self._levels) <= level:
                self._levels.append(np.empty(0))
            # A stable sort merges two sorted runs in the time of one pass.
            merged = np.sort(np.concatenate([self._levels[level], ordered]), kind="stable")
            self._levels[level] = merged
            if len(merged) <= self._size:
                return
            self._levels[level] = np.empty(0)
            ordered = self._halve(merged, level)
            level += 1

    def _halve(self, ordered: Numbers, level: int) -> Numbers:
        """Every other number; of an odd number of them, the last stays on its level."""
        if len(ordered) % 2:
            self._put(level, ordered[-1:])
            ordered = ordered[:-1]
        coin = _COINS[self._tosses % len(_COINS)]
        self._tosses += 1
        self.max_rank_error += 1 << level
        return ordered[coin::2]

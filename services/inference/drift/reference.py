"""What a feature's values are compared with: bins, and the share of the values that was expected in each.

Numbers have many narrow bins with edges in between, so that KS is close to the exact one; PSI is taken over about ten
groups of them. A number that occurs often has a bin to itself. Categories have a bin each. All have one for what is
missing (null, NaN), categories also one for everything else.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from services.inference.drift.statistics import Counts, Floats

Texts: TypeAlias = Sequence[str]
Values: TypeAlias = "Floats | Texts"

FINE = 64
"""Bins of numbers."""
FEW = 20
"""Numbers, or categories, with at most so many distinct values have a bin for each of them."""
MAX_CATEGORIES = 64
_GROUPS = 10
_MAX_LABEL = 64
_LARGEST = 1e300


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Bin number i holds what is above ``edges[i - 1]`` and at most ``edges[i]``; the last one what is missing."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int
    kind: Literal["numbers"] = "numbers"

    def count(self, values: Values) -> Counts:
        """How many of the values are in each bin."""
        numbers = _finite(np.asarray(values, np.float64))
        missing = np.isnan(numbers)
        places = np.searchsorted(self._edges, numbers)
        places[missing] = len(self.edges) + 1
        return np.bincount(places, minlength=len(self.shares)).astype(np.int64)

    @functools.cached_property
    def groups(self) -> npt.NDArray[np.intp]:
        """To which of the groups that PSI is taken over each bin belongs."""
        shares = np.asarray(self.shares[:-1])
        if (shares > 0).sum() <= FEW:
            return np.arange(len(self.shares))
        # By the middle of each bin, so that one with a large share does not pull others into its group.
        middles = (np.cumsum(shares) - shares / 2) / max(shares.sum(), math.ulp(0))
        _, groups = np.unique(np.minimum((middles * _GROUPS).astype(np.intp), _GROUPS - 1), return_inverse=True)
        return np.append(groups, groups[-1] + 1)

    def labels(self) -> Sequence[str]:
        """What is in each group, in words."""
        ends = [*self.edges, math.inf]
        starts = [-math.inf, *self.edges]
        labels = []
        for group in range(int(self.groups[-1])):
            members = np.flatnonzero(self.groups[:-1] == group)
            labels.append(_interval(starts[members[0]], ends[members[-1]]))
        return [*labels, "missing"]

    @functools.cached_property
    def _edges(self) -> Floats:
        return np.asarray(self.edges)


@dataclasses.dataclass(frozen=True)
class Categories:
    """A bin for each of ``values``, one for all others and one for what is missing."""

    values: tuple[str, ...]
    shares: tuple[float, ...]
    rows: int
    kind: Literal["categories"] = "categories"

    def count(self, values: Values) -> Counts:
        """How many of the values are in each bin."""
        counts = np.zeros(len(self.shares), np.int64)
        for value, count in collections.Counter(values).items():
            counts[self._places.get(str(value), len(self.values))] += count
        return counts

    @functools.cached_property
    def groups(self) -> npt.NDArray[np.intp]:
        """Each bin is one of its own."""
        return np.arange(len(self.shares))

    def labels(self) -> Sequence[str]:
        """The categories, cut where they are long."""
        return [*(value[:_MAX_LABEL] for value in self.values), "other", "missing"]

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {value: place for place, value in enumerate(self.values)}


Reference: TypeAlias = Numbers | Categories


def of_numbers(values: Floats) -> Numbers:
    """The reference that these values are."""
    present = _finite(values[~np.isnan(values)])
    distinct = np.unique(present)
    if len(distinct) <= FEW:
        return of_counts(distinct, np.array([(present == each).sum() for each in distinct], np.int64), len(values))
    edges = np.unique(np.quantile(present, np.linspace(0, 1, FINE + 1)[1:-1], method="inverted_cdf"))
    empty = Numbers(tuple(edges.tolist()), (0.0,) * (len(edges) + 2), len(values))
    return dataclasses.replace(empty, shares=tuple((empty.count(values) / len(values)).tolist()))


def of_counts(distinct: Floats, counts: Counts, rows: int) -> Numbers:
    """Of numbers that are few, in ascending order, and so known exactly; what is not counted is missing."""
    total = max(rows, 1)
    edges = [edge for each in distinct.tolist() for edge in (math.nextafter(each, -math.inf), each)]
    shares = [share for count in counts.tolist() for share in (0.0, count / total)]
    missing = max(0.0, 1 - float(counts.sum()) / total) if rows else 0.0
    return Numbers(tuple(edges), (*shares, 0.0, missing), rows)


def of_texts(values: Texts) -> Categories:
    """The reference that these texts are."""
    return of_frequent(collections.Counter(values).most_common(MAX_CATEGORIES), len(values), 0)


def of_frequent(frequent: Sequence[tuple[str, int]], rows: int, missing: int) -> Categories:
    """Of the most frequent texts, and how often each was among ``rows``."""
    kept, total = frequent[:MAX_CATEGORIES], max(rows, 1)
    shares = [count / total for _, count in kept]
    other = max(0.0, 1 - sum(shares) - missing / total) if rows else 0.0
    if other < 0.5 / total:  # what is left of rounding
        other = 0.0
    return Categories(tuple(value for value, _ in kept), (*shares, other, missing / total), rows)


def _finite(values: Floats) -> Floats:
    """With the largest numbers that are told apart in the place of infinite ones, which have no neighbours."""
    return np.clip(values, -_LARGEST, _LARGEST)


def _interval(start: float, end: float) -> str:
    if math.isinf(start) and math.isinf(end):
        return "any"
    if math.isinf(start):
        return f"up to {end:.6g}"
    if math.isinf(end):
        return f"above {start:.6g}"
    return f"{end:.6g}" if math.nextafter(start, math.inf) == end else f"{start:.6g} to {end:.6g}"

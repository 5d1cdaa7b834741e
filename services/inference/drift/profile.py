"""References from the profile of a dataset version: quantiles, a histogram, and the values that occur often."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from services.inference.drift.reference import FINE, MAX_CATEGORIES, Numbers, Reference, of_counts, of_frequent
from services.inference.drift.statistics import Floats

_OFTEN = 0.02  # a number with this share is told apart from those around it
_TRUTHS = {"false": 0.0, "true": 1.0}


@dataclasses.dataclass(frozen=True, slots=True)
class Distribution:
    """Of numbers: ``quantiles`` are ranks and values, ``bins`` begin, end and count."""

    minimum: float
    maximum: float
    quantiles: tuple[tuple[float, float], ...] = ()
    bins: tuple[tuple[float, float, int], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """What a profile tells of one column. ``missing`` counts nulls and NaNs; ``rows`` counts them too."""

    name: str
    rows: int
    missing: int
    numbers: Distribution | None = None
    lengths: Distribution | None = None
    top: tuple[tuple[str, int], ...] = ()
    top_is_all: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """A profile of one split. ``name`` is its resource name."""

    name: str
    split: str
    columns: Mapping[str, Column]

    @property
    def source(self) -> str:
        """The profile and the split, in words."""
        return f"{self.name}, split {self.split}"


def of_column(column: Column, *, texts: bool) -> Reference | None:
    """What the column's values are compared with, as texts or as numbers; None where the profile tells too little."""
    if not column.rows:
        return None
    if texts:
        return of_frequent(column.top, column.rows, column.missing) if column.top else None
    if column.top_is_all and len(column.top) <= MAX_CATEGORIES:
        counted = sorted((number, count) for text, count in column.top if (number := _number(text)) is not None)
        if len(counted) == len(column.top):
            numbers, counts = np.array([each for each, _ in counted]), np.array([count for _, count in counted])
            return of_counts(numbers.astype(np.float64), counts.astype(np.int64), column.rows)
    return None if column.numbers is None else _binned(column.numbers, column)


def of_lengths(column: Column) -> Reference | None:
    """What the lengths of the column's values are compared with."""
    if column.lengths is None or not column.rows:
        return None
    return _binned(column.lengths, dataclasses.replace(column, top=()))


def _binned(told: Distribution, column: Column) -> Numbers | None:
    places, ranks = _distribution(told, column)
    if len(places) < 2:
        return None
    wanted = np.linspace(0, 1, FINE + 1)[1:-1]
    # The ends of jumps are edges as well, so that what occurs often has a bin to itself.
    jumps = [number for number, _ in _often(column)]
    ends = [math.nextafter(number, -math.inf) for number in jumps]
    edges = np.unique(np.concatenate([np.interp(wanted, ranks, places), jumps, ends]))
    at_edges = np.concatenate([[0.0], _ranks_at(edges, places, ranks), [1.0]])
    missing = column.missing / column.rows
    return Numbers(tuple(edges.tolist()), (*(np.diff(at_edges) * (1 - missing)).tolist(), missing), column.rows)


def _distribution(told: Distribution, column: Column) -> tuple[Floats, Floats]:
    """Numbers in ascending order, and the share of all that is at most each."""
    points = [(told.minimum, 0.0), (told.maximum, 1.0)]
    points += [(value, rank) for rank, value in told.quantiles]
    total = sum(count for _, _, count in told.bins)
    below = 0
    for _, end, count in told.bins if total else ():
        below += count
        # A bin does not hold its end: a number there is counted in the next.
        points.append((min(math.nextafter(end, -math.inf), told.maximum), below / total))
    points = [(value, rank) for value, rank in points if math.isfinite(value)]
    for number, share in _often(column):
        before = max((rank for value, rank in points if value < number), default=0.0)
        after = max([before + share, *(rank for value, rank in points if value <= number)])
        points += [(math.nextafter(number, -math.inf), max(after - share, before)), (number, min(after, 1.0))]
    ordered = sorted(points)
    values = np.array([value for value, _ in ordered])
    return values, np.maximum.accumulate(np.array([rank for _, rank in ordered]))


def _ranks_at(edges: Floats, places: Floats, ranks: Floats) -> Floats:
    """At a place where the ranks jump, what they have jumped to."""
    last = np.append(places[1:] != places[:-1], True)
    found: Floats = np.interp(edges, places[last], ranks[last], left=0.0, right=1.0)
    return found


def _often(column: Column) -> Sequence[tuple[float, float]]:
    present = max(column.rows - column.missing, 1)
    numbers = ((_number(text), count / present) for text, count in column.top)
    return [(number, share) for number, share in numbers if number is not None and share >= _OFTEN]


def _number(text: str) -> float | None:
    try:
        number = _TRUTHS.get(text)
        number = float(text) if number is None else number
    except ValueError:
        return None
    return number if math.isfinite(number) else None

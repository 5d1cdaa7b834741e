"""Histograms and shares as figures that a template draws as SVG. Pure; sizes are in the units of the drawing."""

import dataclasses
from collections.abc import Sequence
from typing import Final

from headwater.dataset.v1 import profiles_pb2
from headwater.datasets.figures import reading, share

WIDTH: Final = 320
HEIGHT: Final = 88
BOX_HEIGHT: Final = 14
_GAP: Final = 1.0
_LEAST: Final = 1.5
"""The height of a bar that would not be seen."""
_QUARTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One bin."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """Where the quantiles at 5, 25, 50, 75 and 95 % lie, as a box plot."""

    low: float
    first: float
    median: float
    third: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class Histogram:
    """Bars from left to right, the box below them, and what stands at both ends."""

    bars: Sequence[Bar]
    box: Box | None
    lower: str
    upper: str
    label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    name: str
    count: int
    percent: float
    """Of the longest bar; at least enough to be seen."""
    text: str


def histogram(numbers: profiles_pb2.NumberProfile, kind: str, name: str) -> Histogram | None:
    """The histogram of a column; None where there is nothing to see: no number, or one alone."""
    bins = numbers.histogram
    if len(bins) < 2:
        return None
    most = max(each.count for each in bins)
    width = WIDTH / len(bins)
    # Bins of whole numbers may end behind the largest.
    last = min(bins[-1].upper, numbers.max)
    span = last - bins[0].lower
    lower, upper = reading(bins[0].lower, kind, span), reading(last, kind, span)
    total = sum(each.count for each in bins)
    bars = [
        _bar(number, each, width, most, f"{_range(each, kind, span)}: {each.count:,} ({share(each.count, total)})")
        for number, each in enumerate(bins)
        if each.count
    ]
    label = f"Histogram of {name}: {total:,} values from {lower} to {upper} in {len(bins)} bins"
    return Histogram(bars, _box(numbers), lower, upper, label)


def shares(counts: Sequence[profiles_pb2.ValueCount], whole: int) -> list[Share]:
    """Bars for values, in proportion to the most frequent one."""
    most = max((each.count for each in counts), default=0)
    return [
        Share(each.value, each.count, max(0.5, 100 * each.count / most), share(each.count, whole)) for each in counts
    ]


def presence(column: profiles_pb2.ColumnProfile) -> list[Share]:
    """How many values are there, null and NaN, as parts of one bar; none for a column without rows."""
    whole = column.count + column.null_count
    parts = (
        ("values", column.count - column.nan_count),
        ("null", column.null_count),
        ("nan", column.nan_count),
    )
    return [Share(name, count, 100 * count / whole, share(count, whole)) for name, count in parts if count]


def _bar(number: int, each: profiles_pb2.HistogramBin, width: float, most: int, title: str) -> Bar:
    height = max(_LEAST, HEIGHT * each.count / most)
    return Bar(
        x=round(number * width + _GAP / 2, 2),
        y=round(HEIGHT - height, 2),
        width=round(width - _GAP, 2),
        height=round(height, 2),
        title=title,
    )


def _range(each: profiles_pb2.HistogramBin, kind: str, span: float) -> str:
    return f"{reading(each.lower, kind, span)} to {reading(each.upper, kind, span)}"


def _box(numbers: profiles_pb2.NumberProfile) -> Box | None:
    low, high = numbers.histogram[0].lower, numbers.histogram[-1].upper
    values = {round(quantile.rank, 2): quantile.value for quantile in numbers.quantiles}
    if not values.keys() >= set(_QUARTILES) or not 0 < high - low < float("inf"):
        return None
    return Box(*(round(min(max((values[rank] - low) / (high - low), 0), 1) * WIDTH, 2) for rank in _QUARTILES))

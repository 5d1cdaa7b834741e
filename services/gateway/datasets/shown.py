"""Profiles as pages show them: a page of columns, each with what is drawn of it."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final

from headwater.dataset.v1 import profiles_pb2
from headwater.datasets.figures import about, number, reading, spread
from services.gateway.datasets.charts import Histogram, Share, histogram, presence, shares

COLUMNS: Final = 60
"""On one page."""
_MAX_BARS: Final = 12
_UNITS = {"string": "characters", "binary": "bytes", "fixed_size_binary": "bytes"}


@dataclasses.dataclass(frozen=True, slots=True)
class Plot:
    """A histogram with its heading and figures."""

    title: str
    figures: Sequence[tuple[str, str]]
    histogram: Histogram | None
    minor: bool
    """To be shown when it is asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bars:
    """Shares with their heading."""

    title: str
    shares: Sequence[Share]
    more: int
    """Values that have no bar; -1: it is not known how many."""


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column as a page shows it."""

    name: str
    type: str
    count: int
    null_count: int
    nan_count: int
    distinct: str
    presence: Sequence[Share]
    plots: Sequence[Plot]
    bars: Sequence[Bars]


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnPage:
    """Some of a split's columns."""

    columns: Sequence[Column]
    number: int
    """Of this page, from 1."""
    count: int
    """Of the pages."""
    found: int
    """Columns on all of them."""


def page_of_columns(split: profiles_pb2.SplitProfile, words: str, number: int) -> ColumnPage:
    """The columns whose names hold ``words``, a page of them; a page that there is not is the nearest one."""
    wanted = [column for column in split.columns if words.lower() in column.column.lower()]
    count = max(1, -(-len(wanted) // COLUMNS))
    number = min(max(number, 1), count)
    shown = [column_of(column) for column in wanted[(number - 1) * COLUMNS : number * COLUMNS]]
    return ColumnPage(shown, number, count, len(wanted))


def column_of(column: profiles_pb2.ColumnProfile) -> Column:
    """The column as a page shows it."""
    return Column(
        name=column.column,
        type=column.type,
        count=column.count,
        null_count=column.null_count,
        nan_count=column.nan_count,
        distinct=about(column.distinct_estimate, exact=column.top_values_are_all) if column.distinct_estimate else "",
        presence=presence(column),
        plots=list(_plots(column)),
        bars=list(_bars(column)),
    )


def _plots(column: profiles_pb2.ColumnProfile) -> Iterator[Plot]:
    if column.HasField("numbers"):
        yield _plot("", column.numbers, column.type, column.column)
    if column.images.count:
        for side, sizes in (("Widths", column.images.widths), ("Heights", column.images.heights)):
            yield _plot(f"{side} of images, in pixels", sizes, "", f"{side.lower()} of {column.column}")
    if column.HasField("lengths"):
        unit = _UNITS.get(column.type.partition("[")[0], "elements")
        minor = len(column.top_values) > 0 or column.images.count > 0
        yield _plot(f"Lengths, in {unit}", column.lengths, "", f"lengths of {column.column}", minor=minor)


def _plot(title: str, numbers: profiles_pb2.NumberProfile, kind: str, name: str, *, minor: bool = False) -> Plot:
    if numbers.min == numbers.max:
        return Plot(title, [("each", reading(numbers.min, kind))], None, minor)
    values = {round(quantile.rank, 2): quantile.value for quantile in numbers.quantiles}
    span = numbers.max - numbers.min
    figures = [
        ("min", reading(numbers.min, kind, span)),
        *((_name(rank), reading(value, kind, span)) for rank, value in values.items()),
        ("max", reading(numbers.max, kind, span)),
        ("mean", reading(numbers.mean, kind, span)),
        ("deviation", spread(numbers.standard_deviation, kind)),
    ]
    if numbers.infinite_count:
        figures.append(("infinite", number(numbers.infinite_count)))
    return Plot(title, figures, histogram(numbers, kind, name), minor)


def _bars(column: profiles_pb2.ColumnProfile) -> Iterator[Bars]:
    if column.images.count or column.images.unreadable_count:
        whole = column.images.count
        if column.images.unreadable_count:
            parts = [
                profiles_pb2.ValueCount(value="images", count=column.images.count),
                profiles_pb2.ValueCount(value="not readable", count=column.images.unreadable_count),
            ]
            yield Bars("Images", shares([part for part in parts if part.count], column.count), 0)
        for title, counts in (("Formats", column.images.formats), ("Colour spaces", column.images.colour_spaces)):
            if counts:
                yield Bars(title, shares(counts, whole), 0)
    top = column.top_values
    # Where every value comes once, none of them is worth a bar.
    if top and (top[0].count > 1 or (column.top_values_are_all and len(top) <= _MAX_BARS)):
        more = max(0, len(top) - _MAX_BARS) if column.top_values_are_all else -1
        title = "All values" if column.top_values_are_all else "Frequent values"
        yield Bars(title, shares(top[:_MAX_BARS], column.count), more)


def _name(rank: float) -> str:
    return "median" if rank == 0.5 else f"{rank:.0%}"

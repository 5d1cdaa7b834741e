"""Drawings of profiles: everything is within its frame, nothing that is there is invisible, nothing is made up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.dataset.v1 import profiles_pb2
from services.gateway.datasets import charts
from services.gateway.datasets.shown import COLUMNS, column_of, page_of_columns

COUNTS = st.lists(st.integers(0, 10**12), min_size=2, max_size=40).filter(any)
RANKS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def numbers(counts: list[int], low: float = 0.0, high: float = 1.0) -> profiles_pb2.NumberProfile:
    width = (high - low) / len(counts)
    return profiles_pb2.NumberProfile(
        min=low,
        max=high,
        histogram=[
            profiles_pb2.HistogramBin(lower=low + place * width, upper=low + (place + 1) * width, count=count)
            for place, count in enumerate(counts)
        ],
        quantiles=[profiles_pb2.Quantile(rank=rank, value=low + rank * (high - low)) for rank in RANKS],
    )


def split_of(*names: str) -> profiles_pb2.SplitProfile:
    return profiles_pb2.SplitProfile(columns=[profiles_pb2.ColumnProfile(column=name) for name in names])


@given(COUNTS, st.floats(-1e300, 1e300), st.floats(1e-3, 1e300))
def test_each_bin_that_holds_a_value_is_a_bar_within_the_drawing(counts: list[int], low: float, width: float) -> None:
    drawn = charts.histogram(numbers(counts, low, low + width), "double", "x")
    assert drawn is not None
    assert len(drawn.bars) == sum(1 for count in counts if count)
    for bar in drawn.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= charts.WIDTH + 0.02
        assert 0 <= bar.y <= bar.y + bar.height <= charts.HEIGHT + 0.02
        assert bar.height >= 1
    assert max(bar.height for bar in drawn.bars) == charts.HEIGHT
    if drawn.box is not None:
        box = drawn.box
        assert 0 <= box.low <= box.first <= box.median <= box.third <= box.high <= charts.WIDTH


def test_a_bar_is_as_high_as_its_count() -> None:
    drawn = charts.histogram(numbers([1, 0, 4, 2]), "double", "x")
    assert drawn is not None
    assert [bar.height / charts.HEIGHT for bar in drawn.bars] == [0.25, 1, 0.5]
    assert drawn.bars[1].title == "0.5 to 0.75: 4 (57.1 %)"
    assert drawn.label == "Histogram of x: 7 values from 0 to 1 in 4 bins"


def test_the_box_stands_where_the_quantiles_are() -> None:
    drawn = charts.histogram(numbers([1, 1], 100, 200), "int64", "x")
    assert drawn is not None
    assert drawn.box == charts.Box(*(rank * charts.WIDTH for rank in (0.05, 0.25, 0.5, 0.75, 0.95)))


@pytest.mark.parametrize("counts", [[], [7]])
def test_where_there_is_nothing_to_see_nothing_is_drawn(counts: list[int]) -> None:
    profile = numbers(counts) if counts else profiles_pb2.NumberProfile()
    assert charts.histogram(profile, "double", "x") is None


def test_no_box_is_drawn_over_a_width_that_is_no_number() -> None:
    drawn = charts.histogram(numbers([1, 1], -1.7e308, 1.7e308), "double", "x")
    assert drawn is not None
    assert drawn.box is None


def test_a_share_is_never_too_small_to_be_seen() -> None:
    counts = [profiles_pb2.ValueCount(value="a", count=10**9), profiles_pb2.ValueCount(value="b", count=1)]
    much, little = charts.shares(counts, 10**9 + 1)
    assert (much.percent, much.text) == (100, "> 99.9 %")
    assert (little.percent, little.text) == (0.5, "< 0.1 %")
    assert charts.shares([], 0) == []


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_values_nulls_and_nans_fill_one_bar(values: int, nulls: int, nans: int) -> None:
    column = profiles_pb2.ColumnProfile(count=values + nans, null_count=nulls, nan_count=nans)
    parts = charts.presence(column)
    assert {part.name: part.count for part in parts} == {
        name: count for name, count in (("values", values), ("null", nulls), ("nan", nans)) if count
    }
    assert not parts or math.isclose(sum(part.percent for part in parts), 100)


def test_a_constant_column_is_told_and_not_drawn() -> None:
    column = profiles_pb2.ColumnProfile(column="x", type="int64", count=3)
    column.numbers.CopyFrom(profiles_pb2.NumberProfile(min=7, max=7))
    (plot,) = column_of(column).plots
    assert (plot.figures, plot.histogram) == ([("each", "7")], None)


def test_of_many_classes_the_most_frequent_have_bars_and_the_rest_are_counted() -> None:
    top = [profiles_pb2.ValueCount(value=f"c{place}", count=100 - place) for place in range(20)]
    column = profiles_pb2.ColumnProfile(type="string", count=1810, top_values=top, top_values_are_all=True)
    (bars,) = column_of(column).bars
    assert [share.name for share in bars.shares] == [f"c{place}" for place in range(12)]
    assert bars.more == 8
    column.top_values_are_all = False
    (bars,) = column_of(column).bars
    assert (bars.title, bars.more) == ("Frequent values", -1)


def test_where_every_value_comes_once_none_has_a_bar() -> None:
    top = [profiles_pb2.ValueCount(value=str(place), count=1) for place in range(50)]
    assert column_of(profiles_pb2.ColumnProfile(type="string", count=50, top_values=top)).bars == []


@given(st.integers(0, 4 * COLUMNS), st.integers(-5, 10))
def test_the_pages_together_show_each_column_once(count: int, asked: int) -> None:
    split = split_of(*(f"c{place}" for place in range(count)))
    pages = page_of_columns(split, "", 1).count
    names = [each.name for number in range(1, pages + 1) for each in page_of_columns(split, "", number).columns]
    assert names == [f"c{place}" for place in range(count)]
    assert page_of_columns(split, "", asked).number == min(max(asked, 1), pages)


def test_columns_are_found_whatever_their_case() -> None:
    found = page_of_columns(split_of("Weight", "height", "WEIGHT_2"), "weight", 1)
    assert [column.name for column in found.columns] == ["Weight", "WEIGHT_2"]
    assert found.found == 2

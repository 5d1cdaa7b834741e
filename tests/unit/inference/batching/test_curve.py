"""What is known of how long batches take."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.batching.curve import Curve, Point, fit


def curve(seconds: dict[int, float]) -> Curve:
    measured = Curve()
    for rows, each in seconds.items():
        measured.add(rows, each)
    return measured


def test_nothing_is_known_before_the_first_batch() -> None:
    assert Curve().points() == ()
    assert Curve().seconds(1) is None


def test_between_two_measured_sizes_the_curve_is_straight() -> None:
    measured = curve({1: 0.010, 8: 0.017})

    assert measured.seconds(1) == pytest.approx(0.010)
    assert measured.seconds(2) == pytest.approx(0.011)
    assert measured.seconds(8) == pytest.approx(0.017)


def test_outside_of_what_was_measured_no_gain_is_assumed() -> None:
    measured = curve({4: 0.008, 8: 0.012})

    assert measured.seconds(2) == pytest.approx(0.004)
    assert measured.seconds(16) == pytest.approx(0.024)


def test_a_larger_batch_is_not_taken_for_a_faster_one() -> None:
    """One slow measurement of a small batch, say: both get the mean, weighted by how often they were measured."""
    points = fit([Point(1, 0.010, 1), Point(2, 0.004, 3), Point(3, 0.020, 1)])

    assert [point.seconds for point in points] == pytest.approx([0.0055, 0.0055, 0.020])


def test_the_curve_follows_an_engine_that_becomes_slower() -> None:
    measured = curve({1: 0.001})
    for _ in range(50):
        measured.add(1, 0.002)

    assert measured.seconds(1) == pytest.approx(0.002, rel=0.01)


def test_the_sizes_that_callers_choose_do_not_fill_the_memory() -> None:
    measured = Curve()
    for rows in range(1, 10_000):
        measured.add(rows, rows * 0.001)

    assert len(measured.points()) == 512
    assert measured.seconds(5_000) == pytest.approx(5.0)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(1, 200), st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_more_rows_never_take_less_time(seconds: dict[int, float]) -> None:
    measured = curve(seconds)
    at = [measured.seconds(rows) or 0.0 for rows in range(1, 250)]

    assert all(left <= right * (1 + 1e-9) for left, right in itertools.pairwise(at))
    total = sum(seconds.values())
    assert sum(point.seconds for point in measured.points()) == pytest.approx(total), "nothing is added or lost"

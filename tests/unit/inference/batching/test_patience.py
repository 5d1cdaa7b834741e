"""When it pays to wait, as arithmetic."""

from collections.abc import Callable

import pytest

from services.inference.batching.patience import Wait, worth_waiting

LATER = 1e9


def flat(seconds: float) -> Callable[[int], float]:
    """An engine that computes any batch in the same time."""
    return lambda _rows: seconds


def per_row(seconds: float) -> Callable[[int], float]:
    """An engine to which batches mean nothing."""
    return lambda rows: rows * seconds


def decide(
    rows: int, rows_per_s: float, seconds: Callable[[int], float | None], limit_s: float = 1.0, done_by_s: float = LATER
) -> Wait | None:
    return worth_waiting(rows, 64 - rows, rows_per_s=rows_per_s, limit_s=limit_s, done_by_s=done_by_s, seconds=seconds)


def test_an_engine_that_takes_the_same_time_for_two_waits_for_the_second_if_it_comes_soon() -> None:
    wait = decide(1, 1000, flat(0.010))

    assert wait is not None
    assert 2 <= wait.rows <= 8
    assert wait.seconds == pytest.approx((wait.rows - 1) / 1000)
    assert wait.done_s == pytest.approx(wait.seconds + 0.010)


def test_it_does_not_wait_for_what_comes_seldom() -> None:
    assert decide(1, 10, flat(0.010)) is None


def test_where_every_row_takes_its_time_nobody_waits() -> None:
    assert decide(1, 1000, per_row(0.010)) is None
    assert decide(8, 100_000, per_row(0.001)) is None


def test_many_do_not_wait_for_one() -> None:
    """32 rows would all be later, so that one is earlier."""
    assert decide(32, 200, flat(0.010)) is None


def test_nobody_waits_for_longer_than_allowed() -> None:
    wait = decide(1, 1000, flat(0.010), limit_s=0.0015)

    assert wait is not None
    assert wait.seconds == pytest.approx(0.001)
    assert decide(1, 1000, flat(0.010), limit_s=0.0005) is None
    assert decide(1, 1000, flat(0.010), limit_s=-1.0) is None


def test_no_deadline_is_missed_for_a_better_batch() -> None:
    wait = decide(1, 1000, flat(0.010), done_by_s=0.0115)

    assert wait is not None
    assert wait.done_s <= 0.0115
    assert decide(1, 1000, flat(0.010), done_by_s=0.0105) is None


def test_a_full_batch_waits_for_nobody() -> None:
    assert worth_waiting(64, 0, rows_per_s=1e6, limit_s=1, done_by_s=LATER, seconds=flat(0.1)) is None


def test_who_knows_nothing_does_not_wait() -> None:
    assert decide(1, 1000, lambda _rows: None) is None
    assert decide(1, 0, flat(0.010)) is None

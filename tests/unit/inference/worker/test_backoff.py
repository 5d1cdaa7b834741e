"""When to start again what has ended."""

import pytest

from services.inference.engines.worker.backoff import Backoff


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_waits_twice_as_long_each_time_but_no_longer_than_half_a_minute() -> None:
    clock = Hand()
    backoff = Backoff(clock)
    waits = []
    for _ in range(12):
        backoff.started()
        backoff.ended()
        waits.append(backoff.remaining_s())
        clock.now += backoff.remaining_s()
    assert waits[:4] == pytest.approx([0, 0.1, 0.2, 0.4])
    assert waits[-1] == 30


def test_what_ran_for_a_minute_is_started_at_once() -> None:
    clock = Hand()
    backoff = Backoff(clock)
    for _ in range(5):
        backoff.ended()
    assert backoff.retry_after_ms() > 500
    backoff.started()
    clock.now += 61
    backoff.ended()
    assert backoff.remaining_s() == 0


def test_time_in_which_it_could_not_be_started_does_not_count_as_running() -> None:
    clock = Hand()
    backoff = Backoff(clock)
    backoff.started()
    for _ in range(5):
        clock.now += 100
        backoff.ended()
    assert backoff.remaining_s() > 0.5

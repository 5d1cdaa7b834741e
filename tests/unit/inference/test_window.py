"""What a rolling window counts, and for how long."""

import dataclasses
import statistics
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.inference.guard.window import Window


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request: how long after the one before, and how it ended."""

    after_s: float
    reason: str
    seconds: float


ASKED = st.builds(
    Asked,
    st.one_of(st.floats(0, 3), st.sampled_from([0.0, 1.0, 9.99, 10.0, 11.0, 500.0])),
    st.sampled_from(["", "", "", "ENGINE_FAILED", "INVALID_TENSOR"]),
    st.floats(0.0001, 100),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ASKED, max_size=60))
def test_what_is_younger_than_the_window_counts_and_what_is_older_does_not(requests: list[Asked]) -> None:
    window, now, seen = Window(10), 1000.0, []
    for asked in requests:
        now += asked.after_s
        seen.append((now, asked))
        if asked.reason:
            window.fail(now, asked.reason, fault=asked.reason.startswith("ENGINE"))
        else:
            window.succeed(now, asked.seconds)
        measured = window.read(now)
        for reason in ("ENGINE_FAILED", "INVALID_TENSOR"):
            # A slot, a tenth of the window, goes as a whole.
            at_least = sum(1 for at, each in seen if at > now - 9 + 1e-6 and each.reason == reason)
            at_most = sum(1 for at, each in seen if at > now - 10 - 1e-6 and each.reason == reason)
            assert at_least <= measured.failed.get(reason, 0) <= at_most
        assert measured.faults == measured.failed.get("ENGINE_FAILED", 0)
        assert 0 not in measured.failed.values()
        assert window.counts(now) == (measured.answered, measured.faults, measured.slow)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.0002, 100), min_size=50, max_size=300))
def test_a_latency_is_told_within_a_fifth(latencies: list[float]) -> None:
    window = Window(10)
    for seconds in latencies:
        window.succeed(0.0, seconds)
    measured = window.read(0.0)
    ordered = sorted(latencies)
    for share, told in ((0.5, measured.p50_s), (0.95, measured.p95_s), (0.99, measured.p99_s)):
        index = share * len(ordered)
        low, high = ordered[max(int(index) - 1, 0)], ordered[min(int(index) + 1, len(ordered) - 1)]
        assert low / 1.2 <= told <= high * 1.2


def test_rates_are_of_what_says_something_of_the_model() -> None:
    window = Window(10)
    for _ in range(3):
        window.succeed(0.0, 0.01)
    window.fail(0.0, "ENGINE_FAILED", fault=True)
    for _ in range(50):
        window.fail(0.0, "INVALID_TENSOR", fault=False)
    assert window.read(0.0).error_rate == 0.25


def test_agreement_is_known_once_something_was_compared() -> None:
    window = Window(10)
    assert window.read(0.0).agreement is None
    for agreed in (True, True, True, False):
        window.compare(0.0, agreed=agreed)
    assert window.read(0.0).agreement == 0.75


def test_after_a_pause_of_any_length_nothing_old_is_left() -> None:
    window = Window(10)
    window.succeed(0.0, 0.5)
    measured = window.read(1e7)
    assert (measured.answered, measured.p99_s) == (0, 0.0)


def test_a_clock_that_reads_a_little_earlier_loses_nothing() -> None:
    window = Window(10)
    window.succeed(5.0, 0.5)
    window.succeed(4.9, 0.5)
    assert window.read(5.0).answered == 2


def test_to_count_a_request_costs_a_microsecond_or_so() -> None:
    """The bound is ten times what it takes, for machines that are busy."""
    window, costs = Window(10), []
    for _ in range(5):
        begun = time.perf_counter()
        for turn in range(2000):
            window.succeed(turn * 0.0001, 0.004)
        costs.append((time.perf_counter() - begun) / 2000)
    assert statistics.median(costs) < 10e-6


@pytest.mark.parametrize("seconds", [0.1, 3600.0])
def test_a_window_may_be_short_or_long(seconds: float) -> None:
    window = Window(seconds)
    window.succeed(0.0, 0.01)
    assert window.read(seconds * 0.8).answered == 1
    assert window.read(seconds * 1.2).answered == 0

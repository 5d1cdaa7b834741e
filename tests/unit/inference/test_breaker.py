"""When a breaker lets requests through. Time is a number that the test counts."""

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.inference.guard.breaker import Breaker, Position
from services.inference.guard.options import BreakerRules
from services.inference.guard.window import Window

RULES = BreakerRules(consecutive_failures=3, min_requests=10, open_s=4, max_open_s=20, probes=2)


def breaker(rules: BreakerRules = RULES) -> Breaker:
    return Breaker(rules, Window(30), chance=lambda: 0.5)


def stands(tried: Breaker) -> Position:
    return tried.position


def answer(tried: Breaker, now: float, *, slow: bool = False) -> None:
    permit = tried.ask(now)
    assert permit is not None
    tried.window.succeed(now, 0.01, slow=slow)
    tried.succeed(permit, now, slow=slow)


def fail(tried: Breaker, now: float) -> None:
    permit = tried.ask(now)
    assert permit is not None
    tried.window.fail(now, "ENGINE_FAILED", fault=True)
    tried.fail(permit, now, "ENGINE_FAILED")


def opened(rules: BreakerRules = RULES) -> Breaker:
    tried = breaker(rules)
    for _ in range(rules.consecutive_failures):
        fail(tried, 0.0)
    assert stands(tried) is Position.OPEN
    return tried


def test_failures_in_a_row_open_it_and_an_answer_between_begins_anew() -> None:
    """N-10: within N requests."""
    tried = breaker()
    for _ in range(5):
        fail(tried, 0.0)
        fail(tried, 0.0)
        answer(tried, 0.0)
        answer(tried, 0.0)
        answer(tried, 0.0)
    assert stands(tried) is Position.CLOSED
    for _ in range(3):
        fail(tried, 0.0)
    assert stands(tried) is Position.OPEN
    assert tried.changes[0].reason == "3 failures in a row, the last ENGINE_FAILED"


def test_a_share_of_failures_opens_it_once_there_are_enough_to_judge() -> None:
    tried = breaker(BreakerRules(consecutive_failures=100, min_requests=10, max_error_rate=0.4))
    for turn in range(9):
        (fail if turn % 2 else answer)(tried, 0.0)
    assert stands(tried) is Position.CLOSED
    fail(tried, 0.0)
    assert stands(tried) is Position.OPEN


def test_slow_answers_open_it_and_one_outlier_does_not() -> None:
    tried = breaker(BreakerRules(min_requests=10, max_p99_s=0.1))
    for _ in range(50):
        answer(tried, 0.0)
    answer(tried, 0.0, slow=True)
    assert stands(tried) is Position.CLOSED
    for _ in range(4):
        answer(tried, 0.0, slow=True)
    assert stands(tried) is Position.OPEN
    assert "longer than 100 ms" in tried.changes[0].reason


def test_an_open_one_refuses_and_says_when_to_come_again() -> None:
    tried = opened()
    assert tried.ask(3.0) is None
    assert tried.retry_s(3.0) == 1.0


def test_as_many_as_there_are_probes_are_let_through_and_their_answers_close_it() -> None:
    """P-39."""
    tried = opened()
    first, second = tried.ask(4.0), tried.ask(4.0)
    assert first is not None
    assert second is not None
    assert tried.ask(4.0) is None
    tried.succeed(first, 4.1)
    assert stands(tried) is Position.HALF_OPEN
    tried.succeed(second, 4.2)
    assert stands(tried) is Position.CLOSED
    fail(tried, 4.3)  # what was before it closed is not held against it
    assert stands(tried) is Position.CLOSED


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_the_longest() -> None:
    tried, now, waits = opened(), 0.0, []
    for _ in range(5):
        waits.append(tried.retry_s(now))
        now += waits[-1]
        fail(tried, now)
    assert waits == [4, 8, 16, 20, 20]
    assert tried.failing_since == 0.0


def test_one_that_opens_again_soon_after_it_closed_waits_longer() -> None:
    tried = opened()
    answer(tried, 4.0)
    answer(tried, 4.0)
    for _ in range(3):
        fail(tried, 5.0)
    assert tried.retry_s(5.0) == 8.0

    answer(tried, 13.0)
    answer(tried, 13.0)
    for _ in range(3):
        fail(tried, 13.0 + RULES.max_open_s + 1)
    assert tried.retry_s(13.0 + RULES.max_open_s + 1) == 4.0


def test_it_closes_when_fewer_probes_are_wanted_than_were_answered() -> None:
    """Nobody is let through any more who could close it otherwise."""
    tried = opened(dataclasses.replace(RULES, probes=5))
    answer(tried, 4.0)
    answer(tried, 4.0)
    tried.configure(RULES)
    answer(tried, 4.0)
    assert stands(tried) is Position.CLOSED


def test_a_probe_that_says_nothing_gives_its_place_to_the_next() -> None:
    """A caller that goes away must not leave the breaker half-open for ever."""
    tried = opened()
    for _ in range(10):
        permit = tried.ask(4.0)
        assert permit is not None
        tried.give_back(permit)
    answer(tried, 4.0)
    answer(tried, 4.0)
    assert stands(tried) is Position.CLOSED


def test_what_was_let_through_before_it_moved_does_not_move_it() -> None:
    tried = breaker()
    early = [tried.ask(0.0) for _ in range(20)]
    for _ in range(3):
        fail(tried, 0.0)
    for permit in early:
        assert permit is not None
        tried.fail(permit, 1.0, "ENGINE_FAILED")
    assert tried.retry_s(1.0) == 3.0
    probe = tried.ask(4.0)
    assert probe is not None
    for permit in early:
        assert permit is not None
        tried.succeed(permit, 4.0)
        tried.give_back(permit)
    assert stands(tried) is Position.HALF_OPEN
    tried.succeed(probe, 4.0)
    assert stands(tried) is Position.HALF_OPEN


def test_replicas_do_not_try_again_in_step() -> None:
    waits = []
    for chance in (0.0, 1.0):
        tried = Breaker(RULES, Window(30), chance=[chance].pop)
        for _ in range(3):
            fail(tried, 0.0)
        waits.append(tried.retry_s(0.0))
    assert waits == [pytest.approx(3.2), pytest.approx(4.8)]


def test_one_that_is_switched_off_lets_everything_through_at_once() -> None:
    tried = opened()
    tried.configure(BreakerRules(enabled=False))
    for _ in range(100):
        fail(tried, 0.0)
    assert stands(tried) is Position.CLOSED


class Histories(RuleBasedStateMachine):
    """Whatever comes in whatever order: the bounds hold, and a model that is well again is asked again."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = breaker()
        self.out: list[tuple[int, bool]] = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 9.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        before = self.breaker.position
        wait_s = self.breaker.retry_s(self.now)
        permit = self.breaker.ask(self.now)
        if before is Position.CLOSED:
            assert permit is not None
        if before is Position.OPEN and wait_s > 0.25:  # less is not told apart from a moment
            assert permit is None
        if permit is not None:
            self.out.append((permit, self.breaker.position is Position.HALF_OPEN))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(["answer", "slow", "fault", "nothing"]))
    def end(self, data: st.DataObject, outcome: str) -> None:
        permit, _ = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before = self.breaker.position
        match outcome:
            case "answer" | "slow":
                self.breaker.window.succeed(self.now, 0.01, slow=outcome == "slow")
                self.breaker.succeed(permit, self.now, slow=outcome == "slow")
            case "fault":
                self.breaker.window.fail(self.now, "ENGINE_FAILED", fault=True)
                self.breaker.fail(permit, self.now, "ENGINE_FAILED")
            case _:
                self.breaker.give_back(permit)
        if before is Position.OPEN:
            assert self.breaker.position is Position.OPEN  # only time, and somebody who asks, ends that
        if before is Position.HALF_OPEN and self.breaker.position is Position.CLOSED:
            assert outcome == "answer"

    @invariant()
    def no_more_probes_than_allowed_are_out(self) -> None:
        if self.breaker.position is Position.HALF_OPEN:
            current = self.breaker.permit
            assert 0 <= sum(1 for permit, _ in self.out if permit == current) <= RULES.probes

    @invariant()
    def it_is_failing_exactly_while_it_is_not_closed(self) -> None:
        assert (self.breaker.failing_since is None) == (self.breaker.position is Position.CLOSED)

    def teardown(self) -> None:
        """However it got there: once everybody has come back, answers close it."""
        for permit, _ in self.out:
            self.breaker.give_back(permit)
        self.now += RULES.max_open_s * 1.3
        for _ in range(RULES.probes):
            answer(self.breaker, self.now)
        assert self.breaker.position is Position.CLOSED


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

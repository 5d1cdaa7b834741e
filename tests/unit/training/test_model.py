"""What may follow what in a job's life (promise 6)."""

import dataclasses

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.training_scheduler.errors import IllegalTransition
from services.training_scheduler.jobs.model import ALLOWED, Failure, State, tail
from tests.unit.training.jobs import NOW, job

ENDS = {State.SUCCEEDED, State.FAILED, State.CANCELLED}


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, a job ends once and never changes after."""

    def __init__(self) -> None:
        super().__init__()
        self.job = job()
        self.end: State | None = None

    @rule()
    def start(self) -> None:
        self._try(lambda: self.job.started(NOW))

    @rule()
    def decide(self) -> None:
        self._try(lambda: self.job.decided(State.FAILED, Failure("WHY", "because")))

    @rule()
    def succeed(self) -> None:
        self._try(lambda: self.job.ended_as(State.SUCCEEDED, NOW))

    @rule()
    def cancel(self) -> None:
        self._try(lambda: self.job.ended_as(State.CANCELLED, NOW))

    @precondition(lambda self: self.job.ended)
    @invariant()
    def the_first_end_stays(self) -> None:
        self.end = self.end or self.job.state
        assert self.job.state is self.end
        assert self.job.end_time == NOW

    def _try(self, change) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        try:
            changed = change()
        except IllegalTransition:
            return
        assert changed.state in ALLOWED[self.job.state] | {State.RUNNING}
        self.job = changed


TestLife = Life.TestCase


def test_only_the_three_ends_are_ends() -> None:
    assert {state for state in State if not ALLOWED[state]} == ENDS


def test_every_state_can_be_reached_and_every_one_leads_to_an_end() -> None:
    reached, frontier = {State.PENDING}, [State.PENDING]
    while frontier:
        for state in ALLOWED[frontier.pop()] - reached:
            reached.add(state)
            frontier.append(state)
    assert reached == set(State)


def test_a_start_counts_the_attempt_keeps_the_first_time_and_forgets_the_former_result() -> None:
    later = NOW.replace(year=2027)
    running = dataclasses.replace(job(), fencing_token=7).started(NOW)
    assert (running.state, running.attempt_count, running.started_token) == (State.RUNNING, 1, 7)
    again = running.started(later)
    assert (again.attempt_count, again.start_time, again.result) == (2, NOW, None)


@pytest.mark.parametrize("state", [State.FINISHING, *sorted(ENDS, key=lambda state: state.value)])
def test_what_is_decided_is_not_started_again(state: State) -> None:
    with pytest.raises(IllegalTransition):
        dataclasses.replace(job(), state=state).started(NOW)


def test_the_tail_of_a_log_is_its_last_lines() -> None:
    assert tail("\n".join(map(str, range(100))), lines=2) == "98\n99"
    assert tail("x" * 10_000, characters=10) == "x" * 10
    assert tail("") == ""

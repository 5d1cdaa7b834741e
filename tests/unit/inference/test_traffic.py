"""Who is chosen, how answers are compared, and when a rollout moves: decided from values alone."""

import collections
import datetime
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from headwater.names import DeploymentName
from headwater.tensors import Tensor
from services.inference.deployments.loaded import COUNTED_BOUNDS_S, RequestCounts
from services.inference.models.source import Selector, SelectorKind
from services.inference.tensors.model import Signature, TensorSpec
from services.inference.traffic.comparison import compare
from services.inference.traffic.compatibility import answers_for
from services.inference.traffic.options import Role, Routing, Variant
from services.inference.traffic.rollouts.decision import decide, waits_for
from services.inference.traffic.rollouts.measuring import quantile
from services.inference.traffic.rollouts.model import Evidence, Kind, Objectives, Plan, Rollout, State, Step, overlaid
from services.inference.traffic.weights import Weights

KEYS = [f"user-{number}" for number in range(2000)]
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
shares = st.lists(st.integers(1, 100), min_size=2, max_size=5)


def weights(*shares: float, salt: str = "d") -> Weights[str]:
    named = {chr(ord("a") + position): share for position, share in enumerate(shares)}
    return Weights({name: (name, share) for name, share in named.items()}, salt, random.Random(7).random)


@given(shares)
@settings(max_examples=25, deadline=None)
def test_each_gets_the_share_that_its_weight_says(given_shares: list[int]) -> None:
    """R-23: by chance and by key, within five standard deviations."""
    chooser, total = weights(*given_shares), sum(given_shares)
    by_chance = collections.Counter(chooser.any() for _ in KEYS)
    by_key = collections.Counter(chooser.of(key) for key in KEYS)
    for position, share in enumerate(given_shares):
        expected, name = share / total, chr(ord("a") + position)
        slack = 5 * math.sqrt(len(KEYS) * expected * (1 - expected)) + 1
        assert abs(by_chance[name] - len(KEYS) * expected) <= slack
        assert abs(by_key[name] - len(KEYS) * expected) <= slack


@given(shares, st.integers(1, 100))
@settings(max_examples=25, deadline=None)
def test_a_weight_that_changes_moves_keys_to_or_from_its_own_answerer_only(before: list[int], changed: int) -> None:
    first, then = weights(*before), weights(changed, *before[1:])
    for key in KEYS[:500]:
        old, new = first.of(key), then.of(key)
        if old != new:
            assert (new if changed > before[0] else old) == "a"


@given(st.floats(0, 100), st.floats(0, 100))
@settings(max_examples=25, deadline=None)
def test_between_two_exactly_the_share_moves_by_which_the_weights_change(first: float, then: float) -> None:
    """A canary that grows keeps everybody who had it."""
    before, after = weights(first, 100 - first), weights(then, 100 - then)
    had = {key for key in KEYS[:500] if before.of(key) == "a"}
    has = {key for key in KEYS[:500] if after.of(key) == "a"}
    assert had <= has if first <= then else has <= had


def test_few_keys_move_more_than_must() -> None:
    """Three and more: a change that moves the share d moves at most 2d/(1+d)."""
    before, after = weights(10, 10, 80), weights(20, 10, 70)
    moved = sum(before.of(key) != after.of(key) for key in KEYS) / len(KEYS)
    assert moved <= 2 * 0.1 / 1.1 + 0.03


def test_a_weight_of_nothing_is_never_chosen_and_another_deployment_shares_out_anew() -> None:
    chooser = weights(0, 1)
    assert {chooser.any() for _ in range(100)} | {chooser.of(key) for key in KEYS} == {"b"}
    same = sum(weights(50, 50, salt="d").of(key) == weights(50, 50, salt="e").of(key) for key in KEYS)
    assert 0.4 < same / len(KEYS) < 0.6


def test_a_number_at_the_very_end_of_chance_is_answered() -> None:
    assert Weights({"a": ("a", 0.1), "b": ("b", 0.2)}, "", lambda: math.nextafter(1, 0)).any() == "b"


def floats(*rows: list[float], datatype: str = "FP32") -> list[Tensor]:
    return [Tensor("y", datatype, np.array(rows, np.float32))]


@pytest.mark.parametrize(
    ("given_answer", "other", "tolerance", "identical", "agrees", "largest"),
    [
        (floats([1, 2]), floats([1, 2]), 0, True, True, 0),
        (floats([1, 2]), floats([0, 2.5]), 0, False, True, 1),
        (floats([1, 2]), floats([2, 1]), 0, False, False, 1),
        (floats([1, 2]), floats([0, 2.5]), 0.5, False, False, 1),
        (floats([1, 2]), floats([1.25, 2]), 0.5, False, True, 0.25),
        (floats([1]), floats([2]), 0, False, False, 1),
        (floats([math.nan]), floats([math.nan]), 0, True, True, 0),
        (floats([math.inf, 1]), floats([math.inf, 2]), 2, False, True, 1),
        (floats([math.nan]), floats([1]), 9, False, False, math.inf),
        (floats([1, 2]), floats([1, 2], [3, 4]), 9, False, False, math.inf),
        ([Tensor("y", "INT32", np.array([1]))], [Tensor("y", "INT32", np.array([3]))], 9, False, False, 2),
        ([Tensor("y", "BOOL", np.array([True]))], [Tensor("y", "BOOL", np.array([False]))], 0, False, False, 1),
        (
            [Tensor("y", "BYTES", np.array([b"a"], object))],
            [Tensor("y", "BYTES", np.array([b"b"], object))],
            0,
            False,
            False,
            math.inf,
        ),
    ],
)
def test_what_agrees(
    given_answer: list[Tensor], other: list[Tensor], tolerance: float, identical: bool, agrees: bool, largest: float
) -> None:
    difference = compare(given_answer, other, tolerance)
    assert (difference.identical, difference.agrees, difference.largest) == (identical, agrees, largest)


@given(st.lists(st.floats(0.0002, 29), min_size=1, max_size=300), st.sampled_from([0.5, 0.95, 0.99]))
@settings(max_examples=50, deadline=None)
def test_a_quantile_of_what_was_counted_is_within_a_bucket_of_what_was_measured(
    measured: list[float], share: float
) -> None:
    counts = RequestCounts()
    for seconds in measured:
        counts.succeed(seconds, 0)
    exact = sorted(measured)[math.ceil(share * len(measured)) - 1]
    assert exact / 1.8 <= quantile(counts.latencies, share) <= exact * 1.8


def test_a_quantile_of_nothing_is_nothing_and_what_is_past_the_end_counts_as_the_end() -> None:
    counts = RequestCounts()
    assert quantile(counts.latencies, 0.99) == 0
    counts.succeed(1000, 0)
    assert quantile(counts.latencies, 0.99) == COUNTED_BOUNDS_S[-1] == 30


def signature(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (TensorSpec("y", "FP32", (-1, 2)),)) -> Signature:
    return Signature(inputs, outputs, batchable=True)


@pytest.mark.parametrize(
    ("mine", "answers"),
    [
        (signature(TensorSpec("x", "FP32", (-1, 4))), True),
        (signature(TensorSpec("x", "FP32", (-1, -1))), True),
        (signature(TensorSpec("x", "FP32", (1, 4))), False),
        (signature(TensorSpec("x", "FP32", (-1, 5))), False),
        (signature(TensorSpec("x", "FP32", (-1,))), False),
        (signature(TensorSpec("x", "FP64", (-1, 4))), False),
        (signature(TensorSpec("z", "FP32", (-1, 4))), False),
        (signature(TensorSpec("x", "FP32", (-1, 4)), TensorSpec("z", "FP32", (-1, 4))), False),
        (signature(TensorSpec("x", "FP32", (-1, 4)), outputs=()), False),
        (signature(TensorSpec("x", "FP32", (-1, 4)), outputs=(TensorSpec("y", "INT64", (-1, 2)),)), False),
    ],
)
def test_who_can_answer_for_another_version(mine: Signature, answers: bool) -> None:
    assert answers_for(mine, signature(TensorSpec("x", "FP32", (-1, 4)))) is answers


USUAL = Objectives(max_error_rate=0.01)
STRICT = Objectives(max_error_rate=0.01, max_p99_ms=50, min_agreement=0.9, max_drift_psi=0.2)


def rollout(*steps: Step, state: State = State.RUNNING, at: int = 0, objectives: Objectives = USUAL) -> Rollout:
    plan = Plan("2", steps or (Step(10, 100, 60), Step(50, 100, 60)), objectives)
    return Rollout(new_id(), DeploymentName("p", "d"), new_id(), plan, state, at, NOW, NOW, NOW, "tester", ())


def after(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def test_a_step_lasts_for_its_requests_and_its_time() -> None:
    going = rollout()
    assert decide(going, Evidence(requests=99), "", after(60)) is None
    assert decide(going, Evidence(requests=100), "", after(59)) is None
    assert waits_for(going, Evidence(requests=60), after(50)) == "40 more requests, 10 s"
    decision = decide(going, Evidence(requests=100, errors=1), "", after(60))
    assert decision is not None
    assert (decision.kind, decision.reason) == (Kind.ADVANCED, "1 of 100 requests failed")
    last = decide(rollout(at=1), Evidence(requests=100), "", after(60))
    assert last is not None
    assert last.kind is Kind.SUCCEEDED


def test_a_step_that_drift_is_an_objective_of_waits_for_a_window() -> None:
    """M-105."""
    going = rollout(objectives=Objectives(max_drift_psi=0.2))
    assert waits_for(going, Evidence(requests=100), after(60)) == "a window of drift"
    assert decide(going, Evidence(requests=100), "", after(60)) is None
    decision = decide(going, Evidence(requests=100, drift_rows=500, drifted="x", drift_psi=0.1), "", after(60))
    assert decision is not None
    assert decision.kind is Kind.ADVANCED


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (Evidence(requests=2, errors=2, reasons={"ENGINE_FAILED": 2}), "2 of 2 requests failed (2 ENGINE_FAILED)"),
        (Evidence(requests=300, errors=4, reasons={"ENGINE_FAILED": 4}), "4 of 300 requests failed"),
        (Evidence(requests=100, p99_ms=51), "the p99 is 51 ms; 50 ms are allowed"),
        (Evidence(compared=30, agreed=19), "19 of 30 answers agree"),
        (Evidence(drift_rows=500, drifted="x.age", drift_psi=0.3), "x.age has drifted by a PSI of 0.3; 0.2 is allowed"),
    ],
)
def test_it_goes_back_as_soon_as_an_objective_cannot_hold(evidence: Evidence, told: str) -> None:
    """P-40: also while it is paused."""
    for state in (State.RUNNING, State.PAUSED):
        decision = decide(rollout(state=state, objectives=STRICT), evidence, "", after(1))
        assert decision is not None
        assert decision.kind is Kind.ROLLED_BACK
        assert decision.reason.startswith(told)


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(requests=3, errors=1, reasons={"ENGINE_FAILED": 1}),
        Evidence(requests=99, p99_ms=51),
        Evidence(compared=30, agreed=20),
    ],
)
def test_a_few_bad_ones_do_not_end_it(evidence: Evidence) -> None:
    assert decide(rollout(objectives=STRICT), evidence, "", after(1)) is None


def test_a_version_that_cannot_answer_goes_back() -> None:
    decision = decide(rollout(), Evidence(requests=100), "its circuit breaker has opened", after(60))
    assert decision is not None
    assert (decision.kind, decision.reason) == (Kind.ROLLED_BACK, "its circuit breaker has opened")


def test_a_paused_rollout_goes_no_step_further() -> None:
    assert decide(rollout(state=State.PAUSED), Evidence(requests=1000), "", after(1000)) is None


def test_a_step_of_copies_alone_counts_comparisons() -> None:
    going = rollout(Step(0, 10, 0), Step(10, 10, 0))
    assert waits_for(going, Evidence(requests=50), NOW) == "10 more comparisons"
    assert decide(going, Evidence(compared=10, agreed=0), "", NOW) is not None


def test_the_version_rolled_out_takes_no_more_than_the_other_variants_leave() -> None:
    alias = Selector(SelectorKind.ALIAS, "challenger")
    routing = Routing((Variant("challenger", alias, 70), Variant("copy", alias, 50, Role.SHADOW)))
    going = rollout(Step(50, 1, 1))
    changed = overlaid(routing, going)
    assert [(each.name, each.weight_percent) for each in changed.live] == [("canary", 30), ("challenger", 70)]
    assert overlaid(routing, going.moved(Kind.ABORTED, State.ABORTED, NOW)) == routing

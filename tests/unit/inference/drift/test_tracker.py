"""One version, watched window by window."""

import datetime
from typing import Any

import numpy as np

from services.inference.drift import pending
from services.inference.drift.model import Level
from services.inference.drift.options import Drift, FollowedTensor
from services.inference.drift.pending import Pending
from services.inference.drift.profile import Column, Profile
from services.inference.drift.tracker import Tracker
from services.inference.records.model import Answered, Served
from services.inference.tensors.model import Tensor

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SERVED = Served("p", "d", "projects/p/models/m/versions/1", "sha256:1")


def answered(values: Any, *, name: str = "x", datatype: str = "FP64", result: str = "OK") -> Answered:
    array = np.asarray(values)
    return Answered("r", SERVED, "", "", START, 0.1, 1, len(array), (Tensor(name, datatype, array),), (), result)


def tracker(rules: Drift, **more: Any) -> Tracker:
    return Tracker(SERVED.model_version, SERVED.model_digest, rules, START, batchable=True, **more)


def after(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def test_a_window_ends_when_it_is_long_enough_and_has_rows_enough() -> None:
    """M-105: an empty window is none."""
    watched = tracker(Drift(first_rows=4, window_s=60, min_rows=10))
    assert watched.step(after(100)) is None
    watched.observe([answered([1.0, 2, 3, 4])])
    assert watched.step(after(101)) is None
    assert (watched.watched().rows, watched.watched().window_rows) == (4, 4)
    watched.observe([answered([1.0, 2, 3, 4] * 2)])
    window = watched.step(after(102))
    assert window is not None
    assert (window.start, window.end, window.rows) == (START, after(102), 12)
    watched.observe([answered([1.0, 2, 3, 4] * 3)])
    assert watched.step(after(103)) is None
    assert watched.step(after(162)) is not None


def test_what_learns_is_not_judged_and_failures_say_nothing() -> None:
    watched = tracker(Drift(first_rows=100, window_s=0, min_rows=1))
    watched.observe([answered(np.ones(99)), answered(np.ones(99), result="ENGINE_FAILED")])
    assert watched.step(after(1)) is None
    assert watched.watched().learning == ("x",)
    assert watched.take_news() == {}
    watched.observe([answered(np.ones(1))])
    watched.step(after(2))
    (news,) = [watched.take_news()]
    assert list(news) == ["x"]
    watched.observe([answered(np.zeros(500))])
    window = watched.step(after(3))
    assert window is not None
    assert [each.feature for each in window.alerts] == ["x"]
    assert window.largest_psi is window.alerts[0]


def test_another_process_may_have_learned_it_first() -> None:
    rules = Drift(first_rows=10, window_s=0, min_rows=1)
    first, second = tracker(rules), tracker(rules)
    first.observe([answered(np.ones(10))])
    second.observe([answered(np.zeros(10))])
    for each in (first, second):
        each.step(after(1))
    second.adopt(first.take_news())
    second.observe([answered(np.ones(500))])
    window = second.step(after(2))
    assert window is not None
    assert window.features[0].level is Level.STEADY


def test_a_feature_that_the_profile_lacks_is_learned_and_what_never_comes_is_named() -> None:
    """M-105."""
    profile = Profile("p", "train", {"x": Column("x", 10, 0, top=(("1", 10),), top_is_all=True)})
    rules = Drift(
        first_rows=5, window_s=0, min_rows=1, features=("x", "y", "z"), inputs=(FollowedTensor("ghost", ("a",)),)
    )
    watched = tracker(rules, profile=profile, note="Hm.")
    assert watched.watched().note == "Hm."
    watched.observe([answered(np.ones(3)), answered(np.ones(3), name="y")])
    window = watched.step(after(1))
    assert window is not None
    assert [each.baseline for each in window.features] == ["p, split train, column x"]
    assert watched.watched().learning == ("y",)
    assert watched.watched().note == "Hm. Not seen so far: z, ghost."


def test_a_reservoir_is_bounded_and_fair() -> None:
    """Of 20,000 requests 2,048 are kept, as many of the first half as of the second, give or take."""
    waiting = Pending(batchable=True)
    requests = [answered([float(number)]) for number in range(20_000)]
    waiting.offer(requests)
    kept, rows = waiting.take()
    assert (len(kept), rows) == (pending.MAX_REQUESTS, 20_000)
    early = sum(inputs[0].array[0] < 10_000 for inputs, _ in kept)
    assert 850 < early < 1200
    assert waiting.take() == ([], 0)


def test_large_requests_displace_small_ones_within_the_bound() -> None:
    waiting = Pending(batchable=True)
    waiting.offer([answered([1.0])] * 3000)
    waiting.offer([answered(np.ones((1, 2**17)))] * 20_000)
    kept, _ = waiting.take()
    assert sum(inputs[0].array.nbytes for inputs, _ in kept) <= pending.MAX_BYTES
    waiting.offer([answered(np.ones((1, 2**21)))] * 2)
    assert len(waiting.take()[0]) == 1


def test_of_a_request_with_many_rows_some_are_looked_at() -> None:
    watched = tracker(Drift(first_rows=10, window_s=0, min_rows=1))
    watched.observe([answered(np.arange(10_000.0))])
    watched.step(after(1))
    found = watched.watched()
    assert found.rows == 3334
    assert found.left_out == 10_000 - 3334

"""Many points at a time, in any order, over every store: they come back as they were logged."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.names import ProjectName, RunName
from services.registry.metrics.history import MetricHistory
from services.registry.metrics.model import MetricBatch, MetricPoint, Span
from services.registry.origin import Origin
from services.registry.runs.model import NewRun
from services.registry.runs.runs import Runs

DEFAULT = ProjectName("default")
Point = tuple[str, int, int, float]

_SERIES = st.builds(
    lambda key, first, count, stride, time: [
        (key, step, time, step / 3) for step in range(first, first + count * stride, stride)
    ],
    key=st.sampled_from("ab"),
    first=st.integers(0, 700),
    count=st.sampled_from([1, 15, 16, 17, 320, 321, 400]),
    stride=st.integers(1, 3),
    time=st.integers(0, 1),
)
_CALLS = st.lists(
    st.lists(_SERIES, min_size=1, max_size=3).map(lambda series: list(itertools.chain(*series))), max_size=5
)


async def _run(runs: Runs, me: Origin) -> RunName:
    return (await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, "", ""), me)).name


def _batch(points: Sequence[Point]) -> MetricBatch:
    return MetricBatch(*zip(*points, strict=True))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=_CALLS, size=st.sampled_from([50, 400, 1000]), span=st.builds(Span, st.integers(2, 40), st.integers(0, 900))
)
async def test_points_are_kept_once_however_they_come(
    runs: Runs, history: MetricHistory, me: Origin, calls: Sequence[Sequence[Point]], size: int, span: Span
) -> None:
    name = await _run(runs, me)
    known: dict[tuple[str, int, int], float] = {}
    for call in calls:
        before = len(known)
        for key, step, time, value in call:
            known.setdefault((key, step, time), value)
        assert await runs.log(name, _batch(call), {}, me) == len(known) - before
    summaries = (await runs.get(name)).metrics
    for key in {key for key, _, _ in known}:
        points = [MetricPoint(*place, known[place]) for place in sorted(known) if place[0] == key]
        assert await _pages(history, name, key, size) == points
        last = points[-1]
        told = summaries[key]
        assert (told.last, told.last_step, told.point_count) == (last.value, last.step, len(points))
        assert (told.minimum, told.maximum) == (points[0].value, last.value)
        within = [point for point in points if point.step >= span.first_step]
        sampled = await history.sample([name], [key], span)
        expected = [point for n, point in enumerate(within) if span.picks(n, len(within))]
        assert [list(found) for _, found in sampled] == ([expected] if expected else [])


async def _pages(history: MetricHistory, name: RunName, key: str, size: int) -> Sequence[object]:
    points: list[object] = []
    token = ""
    while True:
        page = await history.points(name, key, size, token)
        points += page.items
        token = page.next_page_token
        if not token:
            return points


async def test_calls_that_overlap_at_the_same_time_record_each_point_once(
    runs: Runs, history: MetricHistory, me: Origin
) -> None:
    """Some come after all that is there when they begin, but not when it is their turn."""
    name = await _run(runs, me)
    calls = [[("loss", step, 0, 1.0) for step in range(first, first + 100)] for first in (0, 50, 100, 0, 75, 150, 10)]
    recorded = await asyncio.gather(*(runs.log(name, _batch(call), {}, me) for call in calls))
    assert sum(recorded) == 250
    points = (await history.points(name, "loss", 1000, "")).items
    assert [point.step for point in points] == list(range(250))
    assert (await runs.get(name)).metrics["loss"].point_count == 250


@pytest.mark.parametrize("times", [1, 20])
async def test_a_key_may_have_any_characters(runs: Runs, history: MetricHistory, me: Origin, times: int) -> None:
    name = await _run(runs, me)
    keys = ['"', "\\", '\\"', "{a,b}", ",", "NULL", "null", " ", "'", "\n", "é\U0001f600", "$1", "%s"]
    points = [(key, step, 0, 0.5) for key in keys for step in range(times)]
    for recorded in (len(points), 0):
        assert await runs.log(name, _batch(points), {}, me) == recorded
    assert (await runs.get(name)).metrics.keys() == set(keys)
    for key in keys:
        found = (await history.points(name, key, 100, "")).items
        assert found == [MetricPoint(key, step, 0, 0.5) for step in range(times)]


async def test_some_metrics_may_go_on_while_others_come_again(runs: Runs, history: MetricHistory, me: Origin) -> None:
    """With parameters in the same call, too, which keep the run to themselves."""
    name = await _run(runs, me)
    assert await runs.log(name, _batch([("a", 1, 0, 1.0), ("b", 1, 0, 1.0)]), {"lr": 0.1}, me) == 2
    assert await runs.log(name, _batch([("a", 2, 0, 2.0), ("b", 1, 0, 5.0), ("c", 1, 0, 1.0)]), {}, me) == 2
    assert await runs.log(name, _batch([("a", 3, 0, 3.0), ("b", 0, 0, 0.0)]), {"depth": 2.0}, me) == 2
    run = await runs.get(name)
    assert run.latest_metrics == {"a": 3.0, "b": 1.0, "c": 1.0}
    assert run.parameters == {"lr": 0.1, "depth": 2.0}
    assert [point.step for point in (await history.points(name, "b", 9, "")).items] == [0, 1]

"""Runs and their metrics, over every store."""

import asyncio
import dataclasses
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from chassis.paging import InvalidPageToken
from headwater.names import ProjectName, RunName
from services.registry.metrics.history import MetricHistory
from services.registry.metrics.model import MetricBatch, ObjectPoint
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from services.registry.runs.errors import ParameterConflict, RunFinished, RunNotFound, TooManyParameters, TooManyTags
from services.registry.runs.model import NewRun, RunState
from services.registry.runs.runs import Runs
from services.registry.runs.wanted import Wanted
from services.registry.values import Json

DEFAULT = ProjectName("default")


def _new(name: str = "", **parameters: float) -> NewRun:
    return NewRun(name, "", dict(parameters), {"kind": "test"}, {}, "", "")


def _batch(*points: tuple[str, int, int, float]) -> MetricBatch:
    keys, steps, times, values = zip(*points, strict=True) if points else ((), (), (), ())
    return MetricBatch(keys, steps, times, values)


async def test_a_started_run_is_running(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new("first", lr=0.1), me)
    assert run.state is RunState.RUNNING
    assert run.parameters == {"lr": 0.1}
    assert run.tags == {"kind": "test"}
    assert await runs.get(run.name) == run


async def test_a_run_needs_its_project(runs: Runs, me: Origin) -> None:
    with pytest.raises(ProjectNotFound):
        await runs.create(ProjectName("nowhere"), _new(), me)
    with pytest.raises(ProjectNotFound):
        await runs.page(ProjectName("nowhere"), Wanted(), 10, "")


async def test_a_parent_run_must_exist(runs: Runs, me: Origin) -> None:
    """M-31."""
    parent = await runs.create(DEFAULT, _new(), me)
    child = await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, str(parent.name), ""), me)
    assert child.parent_run == str(parent.name)
    with pytest.raises(RunNotFound):
        await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, str(RunName("default", new_id())), ""), me)


async def test_a_retry_returns_the_first_run(runs: Runs) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateRun", "request-1", "digest-1")
    first = await runs.create(DEFAULT, _new(), origin)
    assert (await runs.create(DEFAULT, _new(), origin)).id == first.id
    assert len((await runs.page(DEFAULT, Wanted(), 10, "")).items) == 1


@pytest.mark.parametrize("segment", ["digits", "0" * 32, "00000000-0000-7000-8000-00000000000G"])
async def test_a_name_that_is_no_id_finds_no_run(runs: Runs, segment: str, me: Origin) -> None:
    name = RunName("default", segment)
    with pytest.raises(RunNotFound):
        await runs.get(name)
    with pytest.raises(RunNotFound):
        await runs.log(name, _batch(("loss", 1, 1, 0.5)), {}, me)


async def test_a_run_is_not_found_in_another_project(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    other = RunName("other", run.id)
    with pytest.raises(RunNotFound):
        await runs.get(other)
    with pytest.raises(RunNotFound):
        await runs.log(other, _batch(("loss", 1, 1, 0.5)), {}, me)


async def test_runs_are_listed_newest_first_page_by_page(runs: Runs, me: Origin) -> None:
    made = [await runs.create(DEFAULT, _new(str(number)), me) for number in range(5)]
    names, token = [], ""
    while True:
        page = await runs.page(DEFAULT, Wanted(), 2, token)
        assert len(page.items) <= 2
        names += [run.display_name for run in page.items]
        token = page.next_page_token
        if not token:
            break
    assert names == [run.display_name for run in reversed(made)]


async def test_a_token_of_another_list_is_refused(runs: Runs, history: MetricHistory, me: Origin) -> None:
    for _ in range(2):
        await runs.create(DEFAULT, _new(), me)
    token = (await runs.page(DEFAULT, Wanted(), 1, "")).next_page_token
    run = (await runs.page(DEFAULT, Wanted(), 1, "")).items[0]
    with pytest.raises(InvalidPageToken):
        await history.points(run.name, "loss", 1, token)


async def test_a_run_ends_once(runs: Runs, me: Origin) -> None:
    """M-29."""
    run = await runs.create(DEFAULT, _new(), me)
    ended = await runs.finish(run.name, RunState.FAILED, "out of memory", me)
    assert (ended.state, ended.failure) == (RunState.FAILED, "out of memory")
    assert ended.end_time is not None
    assert await runs.finish(run.name, RunState.FAILED, "another reason", me) == ended
    with pytest.raises(RunFinished):
        await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    assert await runs.get(run.name) == ended


async def test_a_finished_run_takes_no_metrics(runs: Runs, history: MetricHistory, me: Origin) -> None:
    """M-29."""
    run = await runs.create(DEFAULT, _new(), me)
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    with pytest.raises(RunFinished):
        await runs.log(run.name, _batch(("loss", 1, 1, 0.5)), {}, me)
    with pytest.raises(RunFinished):
        await runs.log(run.name, _batch(), {"lr": 0.1}, me)
    assert (await history.points(run.name, "loss", 10, "")).items == []


async def test_points_come_back_by_step_then_time(runs: Runs, history: MetricHistory, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    points = [("loss", 2, 50, 0.2), ("loss", 1, 90, 0.4), ("other", 1, 1, 7.0), ("loss", 1, 10, 0.5)]
    assert await runs.log(run.name, _batch(*points), {}, me) == 4
    first = await history.points(run.name, "loss", 2, "")
    second = await history.points(run.name, "loss", 2, first.next_page_token)
    assert [tuple(point) for point in (*first.items, *second.items)] == [
        ("loss", 1, 10, 0.5),
        ("loss", 1, 90, 0.4),
        ("loss", 2, 50, 0.2),
    ]


async def test_a_point_is_recorded_once(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    batch = _batch(("loss", 1, 10, 0.5), ("loss", 2, 20, 0.4))
    assert await runs.log(run.name, batch, {}, me) == 2
    assert await runs.log(run.name, batch, {}, me) == 0
    assert await runs.log(run.name, _batch(("loss", 3, 30, 0.3), ("loss", 3, 30, 0.9)), {}, me) == 1
    assert (await runs.get(run.name)).latest_metrics == {"loss": 0.3}


async def test_values_that_are_no_numbers_are_kept(runs: Runs, history: MetricHistory, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    values = (math.nan, math.inf, -math.inf, -0.0, 5e-324)
    await runs.log(run.name, _batch(*(("x", step, 0, value) for step, value in enumerate(values))), {}, me)
    kept = [point.value for point in (await history.points(run.name, "x", 10, "")).items]
    assert [repr(value) for value in kept] == [repr(value) for value in values]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.integers(-2, 2), st.integers(-2, 2), st.floats()),
            max_size=8,
        ),
        max_size=5,
    )
)
async def test_a_summary_says_what_the_history_says(
    runs: Runs, me: Origin, calls: list[list[tuple[str, int, int, float]]]
) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    points: dict[tuple[str, int, int], float] = {}
    for call in calls:
        before = len(points)
        for key, step, time, value in call:
            points.setdefault((key, step, time), value)
        assert await runs.log(run.name, _batch(*call), {}, me) == len(points) - before
    summaries = (await runs.get(run.name)).metrics
    assert summaries.keys() == {key for key, _, _ in points}
    for key, summary in summaries.items():
        mine = [(step, time, points[other, step, time]) for other, step, time in sorted(points) if other == key]
        numbers = [value for _, _, value in mine if not math.isnan(value)] or [math.nan]
        told = (mine[-1][2], *mine[-1][:2], min(numbers), max(numbers), len(mine))
        assert dataclasses.astuple(summary) == pytest.approx(told, rel=0, abs=0, nan_ok=True)


async def test_arrays_and_objects_are_kept_beside_numbers(runs: Runs, history: MetricHistory, me: Origin) -> None:
    """M-33."""
    run = await runs.create(DEFAULT, _new(), me)
    confusion: Json = {"labels": ["a", "b"], "counts": [[5.0, 1.0], [0.0, 9.0]]}
    objects = [ObjectPoint("confusion", 2, 0, confusion), ObjectPoint("per_class", 1, 0, [0.92, 0.88])]
    batch = dataclasses.replace(_batch(("accuracy", 1, 0, 0.87)), objects=objects)
    assert await runs.log(run.name, batch, {}, me) == 3
    assert await runs.log(run.name, batch, {}, me) == 0
    earlier = dataclasses.replace(_batch(), objects=[ObjectPoint("confusion", 1, 0, [])])
    assert await runs.log(run.name, earlier, {}, me) == 1
    found = await runs.get(run.name)
    assert found.latest_objects == {"confusion": confusion, "per_class": [0.92, 0.88]}
    assert found.latest_metrics == {"accuracy": 0.87}
    first = await history.points(run.name, "confusion", 1, "")
    second = await history.points(run.name, "confusion", 1, first.next_page_token)
    assert [*first.items, *second.items] == [ObjectPoint("confusion", 1, 0, []), objects[0]]


async def test_two_calls_with_the_same_points_record_them_once_between_them(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    points = [(f"m{number % 7}", number, number, float(number)) for number in range(500)]
    recorded = await asyncio.gather(
        *(runs.log(run.name, _batch(*(points if way else reversed(points))), {}, me) for way in (0, 1, 0, 1))
    )
    assert sum(recorded) == 500


async def test_nothing_is_recorded_after_the_end_however_close(runs: Runs, history: MetricHistory, me: Origin) -> None:
    """Logging races with finishing: what a call acknowledged is there, what it refused is not."""
    run = await runs.create(DEFAULT, _new(), me)

    async def log(step: int) -> int:
        try:
            return await runs.log(run.name, _batch(("loss", step, 0, 1.0)), {}, me)
        except RunFinished:
            return 0

    logged = [log(step) for step in range(20)]
    *recorded, _ = await asyncio.gather(*logged[:10], *logged[10:], runs.finish(run.name, RunState.SUCCEEDED, "", me))
    stored = (await history.points(run.name, "loss", 100, "")).items
    assert {point.step for point in stored} == {step for step, count in enumerate(recorded) if count}


async def test_a_parameter_keeps_its_value(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(lr=0.1), me)
    await runs.log(run.name, _batch(), {"lr": 0.1, "layers": [1.0, {"units": 8.0}], "none": None}, me)
    with pytest.raises(ParameterConflict) as refused:
        await runs.log(run.name, _batch(("loss", 1, 1, 0.5)), {"lr": 0.2, "new": 1.0}, me)
    assert refused.value.metadata == {"parameter": "lr"}
    kept = await runs.get(run.name)
    assert kept.parameters == {"lr": 0.1, "layers": [1.0, {"units": 8.0}], "none": None}
    assert kept.latest_metrics == {}


async def test_true_is_not_one(runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    await runs.log(run.name, _batch(), {"amp": True}, me)
    with pytest.raises(ParameterConflict):
        await runs.log(run.name, _batch(), {"amp": 1.0}, me)


@pytest.mark.parametrize("number", [1e22, 5e-324, 1.7976931348623157e308, -0.1])
async def test_a_parameter_is_equal_to_itself_when_it_comes_again(runs: Runs, me: Origin, number: float) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    for _ in range(2):
        await runs.log(run.name, _batch(), {"number": number}, me)
    [kept] = (await runs.get(run.name)).parameters.values()
    assert isinstance(kept, int | float)  # a database may give 1e22 back as a whole number
    assert float(kept) == number


async def test_what_is_said_of_a_run_is_bounded_and_does_not_stop_a_list(runs: Runs, me: Origin) -> None:
    """Promise 8: as many runs come on a page as a message holds, whatever else they say."""
    long = {f"p{number}": "x" * 60_000 for number in range(100)}
    for _ in range(4):
        run = await runs.create(DEFAULT, _new(), me)
        await runs.log(run.name, _batch(), long, me, tags=long)
    with pytest.raises(TooManyParameters):
        await runs.log(run.name, _batch(), {f"more {key}": value for key, value in long.items()}, me)
    with pytest.raises(TooManyTags):
        await runs.log(run.name, _batch(), {}, me, tags={f"more {key}": value for key, value in long.items()})
    first = await runs.page(DEFAULT, Wanted(), 50, "")
    assert len(first.items) == 1
    assert len((await runs.page(DEFAULT, Wanted(), 50, first.next_page_token)).items) == 1


async def test_a_run_has_a_bounded_number_of_parameters(runs: Runs, me: Origin) -> None:
    """Promise 8."""
    run = await runs.create(DEFAULT, _new(), me)
    await runs.log(run.name, _batch(), {f"p{number}": 1.0 for number in range(1000)}, me)
    with pytest.raises(TooManyParameters):
        await runs.log(run.name, _batch(), {"one more": 1.0}, me)

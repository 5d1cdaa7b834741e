"""What changes of runs, what they take over, and what plots need of them, over every store."""

import asyncio
import datetime

import pytest

from chassis.etags import EtagMismatch, etag_of
from chassis.ids import new_id
from chassis.testing import ManualClock
from headwater.names import ExperimentName, ProjectName, RunName
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.model import About
from services.registry.metrics.history import MetricHistory
from services.registry.metrics.model import MetricBatch, ObjectPoint, Span
from services.registry.origin import Origin
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects
from services.registry.runs.changes import RunChanges
from services.registry.runs.errors import RunArchived, RunExecuted, RunFinished, RunNotFound, TooManyTags
from services.registry.runs.model import Lifecycle, NewRun, Run, RunState
from services.registry.runs.runs import Runs
from services.registry.runs.wanted import Wanted
from tests.contract.registry.builders import metrics

DEFAULT = ProjectName("default")
LONG_AGO = datetime.datetime(2020, 2, 3, tzinfo=datetime.UTC)


def _new(**said: object) -> NewRun:
    plain = {"display_name": "", "description": "", "parameters": {}, "tags": {}, "annotations": {}}
    return NewRun(**{**plain, "parent_run": "", "job": "", **said})  # type: ignore[arg-type]


async def _ids(runs: Runs, **wanted: object) -> list[str]:
    return [run.id for run in (await runs.page(DEFAULT, Wanted(**wanted), 100, "")).items]  # type: ignore[arg-type]


async def test_what_is_said_of_a_run_changes_with_its_etag(
    runs: Runs, run_changes: RunChanges, experiments: Experiments, clock: ManualClock, me: Origin
) -> None:
    """M-30, promise 3."""
    run = await runs.create(DEFAULT, _new(tags={"a": "1"}), me)
    digits = await experiments.create(ExperimentName("default", "digits"), About(), me)
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    clock.advance(60)
    said = {
        "display_name": "best",
        "description": "The best one.",
        "tags": {"b": "2"},
        "annotations": {"c": "3"},
        "references": ("projects/default/runs/x",),
        "experiment": digits.name,
    }
    seen = await runs.get(run.name)
    changed = await run_changes.describe(run.name, said, etag_of(seen.revision), me)
    assert {field: getattr(changed, field) for field in said} == {**said, "experiment": str(digits.name)}
    assert changed.update_time > seen.update_time
    assert await runs.get(run.name) == changed
    assert await run_changes.describe(run.name, said, "", me) == changed
    with pytest.raises(EtagMismatch):
        await run_changes.describe(run.name, {"display_name": "worst"}, etag_of(seen.revision), me)


async def test_tags_set_at_once_are_all_there(runs: Runs, run_changes: RunChanges, me: Origin) -> None:
    """M-32."""
    run = await runs.create(DEFAULT, _new(tags={"old": "1", "kept": "1"}), me)
    await asyncio.gather(*(run_changes.tag(run.name, {f"t{number}": "x"}, {"old"}, me) for number in range(5)))
    expected = {"kept": "1", **{f"t{number}": "x" for number in range(5)}}
    assert (await runs.get(run.name)).tags == expected
    assert await run_changes.tag(run.name, {"kept": "2"}, (), me) == {**expected, "kept": "2"}
    assert await _ids(runs, filter="tags.kept = '2' AND tags.old IS NULL") == [run.id]
    assert await _ids(runs, filter="tags.kept = '1'") == []
    with pytest.raises(TooManyTags):
        await run_changes.tag(run.name, {f"n{number}": "" for number in range(1000)}, (), me)


async def test_a_run_is_found_while_it_moves_between_experiments(
    runs: Runs, run_changes: RunChanges, experiments: Experiments, me: Origin
) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    digits = await experiments.create(ExperimentName("default", "digits"), About(), me)
    places = (digits.name, ExperimentName("default", "default"))
    moves = [run_changes.describe(run.name, {"experiment": places[number % 2]}, "", me) for number in range(10)]
    tags = [run_changes.tag(run.name, {f"t{number}": ""}, (), me) for number in range(10)]
    await asyncio.gather(*(change for pair in zip(moves, tags, strict=True) for change in pair))
    assert len((await runs.get(run.name)).tags) == 10


async def test_children_take_over_tags_and_the_experiment(
    runs: Runs, experiments: Experiments, run_changes: RunChanges, me: Origin
) -> None:
    """M-31."""
    digits = await experiments.create(ExperimentName("default", "digits"), About(), me)
    tags = {"inherit.team": "vision", "inherit.seed": "1", "own": "x"}
    parent = await runs.create(DEFAULT, _new(tags=tags, experiment=str(digits.name)), me)
    child = await runs.create(DEFAULT, _new(parent_run=str(parent.name), tags={"inherit.seed": "2"}), me)
    other = await runs.create(
        DEFAULT, _new(parent_run=str(parent.name), experiment="projects/default/experiments/default"), me
    )
    assert child.tags == {"inherit.team": "vision", "inherit.seed": "2"}
    assert child.experiment == str(digits.name)
    assert other.experiment == "projects/default/experiments/default"
    assert (await runs.get(parent.name)).child_runs == (str(child.name), str(other.name))
    assert await _ids(runs, parent_run=parent.name) == [other.id, child.id]
    assert await _ids(runs, experiments=(digits.name,)) == [child.id, parent.id]
    assert await _ids(runs, experiments=(digits.name,), parent_run=parent.name) == [child.id]


async def test_a_child_in_another_project_is_told_by_its_name(runs: Runs, projects: Projects, me: Origin) -> None:
    """M-31."""
    await projects.create(NewProject("other", "", "", {}), me)
    parent = await runs.create(DEFAULT, _new(), me)
    child = await runs.create(ProjectName("other"), _new(parent_run=str(parent.name)), me)
    assert (await runs.get(parent.name)).child_runs == (str(child.name),)
    assert child.experiment == "projects/other/experiments/default"
    found = await runs.page(ProjectName("other"), Wanted(parent_run=parent.name), 10, "")
    assert [run.id for run in found.items] == [child.id]


async def test_a_scheduled_run_begins_with_its_first_metrics(runs: Runs, clock: ManualClock, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(state=RunState.SCHEDULED), me)
    assert run.state is RunState.SCHEDULED
    clock.advance(60)
    recorded = await asyncio.gather(*(runs.log(run.name, metrics(loss=0.5), {}, me) for _ in range(3)))
    assert sum(recorded) == 1
    begun = await runs.get(run.name)
    assert (begun.state, begun.start_time) == (RunState.RUNNING, clock.now())


async def test_a_scheduled_run_can_be_ended_or_begun_by_hand(runs: Runs, run_changes: RunChanges, me: Origin) -> None:
    ended = await runs.create(DEFAULT, _new(state=RunState.SCHEDULED), me)
    assert (await runs.finish(ended.name, RunState.CANCELLED, "", me)).state is RunState.CANCELLED
    job = "projects/default/trainingJobs/j"
    begun = await runs.create(DEFAULT, _new(state=RunState.SCHEDULED, job=job), me)
    assert (await run_changes.resume(begun.name, me)).state is RunState.RUNNING


async def test_a_run_starts_and_ends_when_its_caller_says(runs: Runs, me: Origin) -> None:
    """R-28."""
    run = await runs.create(DEFAULT, _new(start_time=LONG_AGO), me)
    later = LONG_AGO + datetime.timedelta(hours=1)
    ended = await runs.finish(run.name, RunState.FAILED, "", me, time=later)
    assert (ended.start_time, ended.end_time) == (LONG_AGO, later)
    assert await _ids(runs, filter="start_time < 1600000000000") == [run.id]


async def test_logging_goes_on_in_a_resumed_run(runs: Runs, run_changes: RunChanges, me: Origin) -> None:
    run = await runs.create(DEFAULT, _new(), me)
    assert await run_changes.resume(run.name, me) == await runs.get(run.name)
    await runs.finish(run.name, RunState.FAILED, "power cut", me)
    resumed = await run_changes.resume(run.name, me)
    assert (resumed.state, resumed.end_time, resumed.failure) == (RunState.RUNNING, None, "")
    assert await runs.log(run.name, metrics(loss=0.5), {}, me) == 1


async def test_a_run_that_a_job_executed_is_not_resumed(runs: Runs, run_changes: RunChanges, me: Origin) -> None:
    """M-29."""
    run = await runs.create(DEFAULT, _new(job="projects/default/trainingJobs/j"), me)
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    with pytest.raises(RunExecuted):
        await run_changes.resume(run.name, me)


async def test_an_archived_run_can_be_read_and_takes_nothing(runs: Runs, run_changes: RunChanges, me: Origin) -> None:
    """M-06, M-09."""
    run = await runs.create(DEFAULT, _new(), me)
    archived = await run_changes.archive(run.name, me)
    assert await run_changes.archive(run.name, me) == archived
    assert await runs.get(run.name) == archived
    for parameters in ({}, {"lr": 0.1}):
        with pytest.raises(RunArchived):
            await runs.log(run.name, metrics(loss=0.5), parameters, me)
    assert await _ids(runs) == []
    assert await _ids(runs, lifecycle=Lifecycle.ARCHIVED) == await _ids(runs, lifecycle=None) == [run.id]
    await runs.finish(run.name, RunState.CANCELLED, "", me)
    with pytest.raises(RunArchived):
        await run_changes.resume(run.name, me)
    await run_changes.reactivate(run.name, me)
    assert await _ids(runs) == [run.id]
    assert await _ids(runs, lifecycle=Lifecycle.ARCHIVED) == []


async def test_one_call_logs_points_parameters_tags_and_objects_or_nothing(runs: Runs, me: Origin) -> None:
    """M-33, R-28."""
    run = await runs.create(DEFAULT, _new(), me)
    batch = MetricBatch(["loss"], [1], [0], [0.5], [ObjectPoint("roc", 1, 0, [[0.0, 1.0]])])
    assert await runs.log(run.name, batch, {"lr": "0.01"}, me, tags={"stage": "late"}) == 2
    logged = await runs.get(run.name)
    assert (logged.parameters, logged.tags) == ({"lr": "0.01"}, {"stage": "late"})
    assert (logged.latest_metrics, logged.latest_objects) == ({"loss": 0.5}, {"roc": [[0.0, 1.0]]})
    assert await _ids(runs, filter="params.lr = '0.01' AND params.lr < 0.1 AND tags.stage = 'late'") == [run.id]
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    with pytest.raises(RunFinished):
        await runs.log(run.name, metrics(), {}, me, tags={"stage": "over"})
    assert (await runs.get(run.name)).tags == {"stage": "late"}


async def _measured(runs: Runs, me: Origin, count: int) -> Run:
    run = await runs.create(DEFAULT, _new(), me)
    batch = MetricBatch(["loss"] * count, list(range(count)), [0] * count, [float(n) for n in range(count)])
    await runs.log(run.name, batch, {}, me)
    return run


async def test_a_sample_is_even_and_has_the_first_and_the_last_point(
    runs: Runs, history: MetricHistory, me: Origin
) -> None:
    long, short = await _measured(runs, me, 1000), await _measured(runs, me, 3)
    found = await history.sample([short.name, long.name], ["loss", "none"], Span(5))
    assert [(name, [point.step for point in points]) for name, points in found] == [
        (short.name, [0, 1, 2]),
        (long.name, [0, 250, 500, 750, 999]),
    ]
    [(_, points)] = await history.sample([long.name], ["loss"], Span(2, first_step=10, last_step=20))
    assert [point.step for point in points] == [10, 20]
    with pytest.raises(RunNotFound):
        await history.sample([long.name, RunName("default", new_id())], ["loss"], Span(5))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 12, 13, 100])
@pytest.mark.parametrize("most", [2, 3, 11, 12])
async def test_a_sample_has_as_many_points_as_it_may(
    runs: Runs, history: MetricHistory, me: Origin, count: int, most: int
) -> None:
    run = await _measured(runs, me, count)
    [(_, points)] = await history.sample([run.name], ["loss"], Span(most))
    assert len(points) == min(count, most)
    assert (points[0].step, points[-1].step) == (0, count - 1)

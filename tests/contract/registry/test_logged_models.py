"""Logged models, over every store."""

import dataclasses
from collections.abc import Sequence

import pytest

from headwater.names import ArtifactName, ExperimentName, LoggedModelName, RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.experiments.errors import ExperimentNotFound
from services.registry.logged_models.errors import (
    LoggedModelArchived,
    LoggedModelFinished,
    LoggedModelNotFound,
    LoggedValueConflict,
    TooManyEntries,
)
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.logged_models.model import Additions, DataMetric, LoggedModel, LoggedModelState, NewLoggedModel
from services.registry.logged_models.searching import Data, Wanted
from services.registry.origin import Origin
from services.registry.runs.errors import RunNotFound
from services.registry.runs.runs import Runs
from services.registry.store import Store
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, safetensors, upload, version_of

NEW = NewLoggedModel("cnn", "", "", "Agent", {"lr": "0.1"}, {"team": "vision"})
NOBODY = LoggedModelName("default", "01900000-0000-7000-8000-000000000001")


def _metric(key: str, value: float, step: int = 0, data: str = "", digest: str = "") -> DataMetric:
    return DataMetric(key, value, step, 0, "", data, digest)


async def _names(logged_models: LoggedModels, wanted: Wanted) -> Sequence[str]:
    return [found.display_name for found in (await logged_models.page(DEFAULT, wanted, 0, "")).items]


async def test_a_logged_model_is_pending_until_it_is_complete(logged_models: LoggedModels, me: Origin) -> None:
    logged = await logged_models.create(DEFAULT, NEW, me)
    assert (logged.state, logged.experiment) == (LoggedModelState.PENDING, "projects/default/experiments/default")
    ready = await logged_models.finish(logged.name, LoggedModelState.READY, "", me)
    assert ready.state is LoggedModelState.READY
    assert await logged_models.finish(logged.name, LoggedModelState.READY, "", me) == ready
    with pytest.raises(LoggedModelFinished):
        await logged_models.finish(logged.name, LoggedModelState.FAILED, "why", me)


async def test_it_belongs_to_the_experiment_of_its_run(logged_models: LoggedModels, runs: Runs, me: Origin) -> None:
    run = await runs.create(DEFAULT, a_run(), me)
    logged = await logged_models.create(DEFAULT, dataclasses.replace(NEW, run=str(run.name)), me)
    assert (logged.run, logged.experiment) == (str(run.name), run.experiment)


async def test_it_is_found_by_its_run_as_mlflow_writes_it(logged_models: LoggedModels, runs: Runs, me: Origin) -> None:
    """R-28."""
    run = await runs.create(DEFAULT, a_run(), me)
    made = await logged_models.create(DEFAULT, dataclasses.replace(NEW, run=str(run.name)), me)
    await logged_models.create(DEFAULT, dataclasses.replace(NEW, display_name="of no run"), me)
    for wanted in (
        f"source_run_id = '{run.id.replace('-', '')}'",
        f"run_id = '{run.id}'",
        f"model_id = 'm-{made.id.replace('-', '')}'",
        "source_run_id IS NOT NULL",
    ):
        assert await _names(logged_models, Wanted(wanted)) == ["cnn"], wanted
    assert await _names(logged_models, Wanted("source_run_id IS NULL")) == ["of no run"]


async def test_what_is_added_stays(logged_models: LoggedModels, artifacts: Artifacts, me: Origin) -> None:
    logged = await logged_models.create(DEFAULT, NEW, me)
    weights = await upload(artifacts, b"weights", me)
    more = Additions(
        parameters={"lr": "0.1", "depth": "3"},
        tags={"team": "audio"},
        files={"data/model.bin": weights},
        metrics=[_metric("accuracy", 0.9, 1), _metric("accuracy", 0.8, 0)],
    )
    added = await logged_models.add(logged.name, more, me)
    assert added.parameters == {"lr": "0.1", "depth": "3"}
    assert added.tags == {"team": "audio"}
    assert added.files == {"data/model.bin": f"sha256:{weights.artifact}"}
    assert [metric.value for metric in added.metrics] == [0.9]
    assert await logged_models.add(logged.name, more, me) == added
    untagged = await logged_models.add(logged.name, Additions(removed_tags=["team", "none"]), me)
    assert untagged.tags == {}


async def test_of_each_metric_the_last_point_is_told_and_more_points_cost_the_same(
    logged_models: LoggedModels, store: Store, me: Origin
) -> None:
    """Promise 8: MLflow's clients add a point with every step of a training."""
    logged = await logged_models.create(DEFAULT, NEW, me)
    points = [_metric("loss", float(step), step, data) for step in range(500) for data in ("", "train")]
    for first in (0, 500):
        added = await logged_models.add(logged.name, Additions(metrics=points[first : first + 500]), me)
    assert [(metric.data_name, metric.step) for metric in added.metrics] == [("", 499), ("train", 499)]
    late = await logged_models.add(logged.name, Additions(metrics=[_metric("loss", -1.0, -1)]), me)
    assert late.metrics == added.metrics
    assert (await logged_models.page(DEFAULT, Wanted("metrics.loss = 499"), 0, "")).items == [late]
    async with store.transaction() as tx:
        assert not (await tx.logged_models.get(logged.name, lock=True)).metrics


async def test_another_value_is_refused_and_nothing_is_added(
    logged_models: LoggedModels, artifacts: Artifacts, me: Origin
) -> None:
    logged = await logged_models.create(DEFAULT, NEW, me)
    one, other = [await upload(artifacts, content, me) for content in (b"one", b"other")]
    before = await logged_models.add(logged.name, Additions(files={"a": one}), me)
    with pytest.raises(LoggedValueConflict):
        await logged_models.add(logged.name, Additions(parameters={"x": "1", "lr": "0.2"}), me)
    with pytest.raises(LoggedValueConflict):
        await logged_models.add(logged.name, Additions(files={"b": other, "a": other}, tags={"x": "y"}), me)
    with pytest.raises(TooManyEntries):
        await logged_models.add(logged.name, Additions(tags={str(number): "" for number in range(1001)}), me)
    with pytest.raises(ArtifactNotFound):
        await logged_models.add(logged.name, Additions(files={"c": ArtifactName("default", "0" * 64)}), me)
    assert await logged_models.get(logged.name) == before


async def test_it_knows_the_versions_that_were_registered_from_it(
    logged_models: LoggedModels, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    logged = await logged_models.create(DEFAULT, NEW, me)
    files = {"a": await upload(artifacts, safetensors(a=(1,)), me)}
    new = dataclasses.replace(version_of(files), logged_model=logged.name)
    made = [await versions.create(DIGITS, new, me) for _ in range(2)]
    found = await logged_models.get(logged.name)
    assert found.model_versions == [str(version.name) for version in made]


async def test_logged_models_are_searched(logged_models: LoggedModels, me: Origin) -> None:
    """R-28: as MLflow's search_logged_models does."""
    made: list[LoggedModel] = []
    for name, accuracy in (("a", 0.7), ("b", 0.9), ("c", 0.8)):
        logged = await logged_models.create(DEFAULT, dataclasses.replace(NEW, display_name=name), me)
        points = [
            _metric("accuracy", accuracy, data="test", digest="1"),
            _metric("accuracy", 1 - accuracy, data="train"),
        ]
        made.append(await logged_models.add(logged.name, Additions(metrics=points), me))
    await logged_models.finish(made[0].name, LoggedModelState.READY, "", me)
    await logged_models.archive(made[2].name, me)
    assert await _names(logged_models, Wanted()) == ["b", "a"]
    assert await _names(logged_models, Wanted(show_archived=True, order_by="display_name")) == ["a", "b", "c"]
    assert await _names(logged_models, Wanted("state = 'READY' AND params.lr = '0.1'")) == ["a"]
    assert await _names(logged_models, Wanted("tags.team = 'audio'")) == []
    on_test, on_train = (Data("test", "1"),), (Data("train"),)
    assert await _names(logged_models, Wanted("metrics.accuracy > 0.8", data=on_test)) == ["b"]
    assert await _names(logged_models, Wanted("metrics.accuracy > 0.2", data=on_train)) == ["a"]
    assert await _names(logged_models, Wanted(order_by="metrics.accuracy", data=on_test)) == ["a", "b"]
    assert await _names(logged_models, Wanted("metrics.accuracy > 0", data=(Data("test", "2"),))) == []
    assert await _names(logged_models, Wanted(experiments=("projects/default/experiments/default",))) == ["b", "a"]
    with pytest.raises(ExperimentNotFound):
        await _names(logged_models, Wanted(experiments=("projects/default/experiments/none",)))


async def test_pages_follow_one_another_in_any_order(logged_models: LoggedModels, me: Origin) -> None:
    for number in range(5):
        logged = await logged_models.create(DEFAULT, dataclasses.replace(NEW, display_name=str(number)), me)
        await logged_models.add(logged.name, Additions(metrics=[_metric("m", float(number % 2))]), me)
    for order_by, expected in (("", "43210"), ("metrics.m desc, display_name", "13024")):
        found, token = "", ""
        while True:
            page = await logged_models.page(DEFAULT, Wanted(order_by=order_by), 2, token)
            found += "".join(logged.display_name for logged in page.items)
            if not (token := page.next_page_token):
                break
        assert found == expected


async def test_a_page_ends_early_where_much_is_said(logged_models: LoggedModels, me: Origin) -> None:
    """Promise 8."""
    long = {str(number): "x" * 6000 for number in range(1000)}
    for _ in range(4):
        await logged_models.create(DEFAULT, dataclasses.replace(NEW, parameters=long), me)
    first = await logged_models.page(DEFAULT, Wanted(), 50, "")
    assert 1 <= len(first.items) < 4
    rest = await logged_models.page(DEFAULT, Wanted(), 50, first.next_page_token)
    assert len({logged.id for logged in (*first.items, *rest.items)}) == 4


async def test_what_is_not_there_is_said(logged_models: LoggedModels, me: Origin) -> None:
    with pytest.raises(LoggedModelNotFound):
        await logged_models.get(NOBODY)
    with pytest.raises(LoggedModelNotFound):
        await logged_models.archive(dataclasses.replace(NOBODY, logged_model="none"), me)
    with pytest.raises(RunNotFound):
        await logged_models.create(
            DEFAULT, dataclasses.replace(NEW, run=str(RunName("default", NOBODY.logged_model))), me
        )
    with pytest.raises(ExperimentNotFound):
        await logged_models.create(
            DEFAULT, dataclasses.replace(NEW, experiment=str(ExperimentName("default", "none"))), me
        )
    logged = await logged_models.create(DEFAULT, NEW, me)
    metric = dataclasses.replace(_metric("m", 1.0), run=str(RunName("default", NOBODY.logged_model)))
    with pytest.raises(RunNotFound):
        await logged_models.add(logged.name, Additions(metrics=[metric]), me)
    for _ in range(2):
        assert (await logged_models.archive(logged.name, me)).archived
    with pytest.raises(LoggedModelArchived):
        await logged_models.add(logged.name, Additions(tags={"a": "b"}), me)


async def test_a_retry_makes_no_second_one(logged_models: LoggedModels) -> None:
    """Promise 4."""
    retry = Origin("tester", "Test", "r-1", "body")
    first = await logged_models.create(DEFAULT, NEW, retry)
    assert await logged_models.create(DEFAULT, NEW, retry) == first

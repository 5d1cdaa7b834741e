"""Stages of versions, over every store."""

import asyncio
import math

import pytest

from chassis.etags import EtagMismatch, etag_of
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.model import Comparison, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.moves.model import Why
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.runs.model import NewRun
from services.registry.runs.runs import Runs
from services.registry.versions.errors import ModelVersionNotFound, ObjectiveNotMet, StageIsEmpty
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, metrics, upload, version_of


async def _versions(versions: Versions, artifacts: Artifacts, me: Origin, count: int = 2) -> None:
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(count):
        await versions.create(DIGITS, version_of(files), me)


async def _move(stages: Stages, me: Origin, number: int, stage: Stage, etag: str = "") -> None:
    await stages.move(DIGITS, number, stage, etag=etag, why=Why("because"), origin=me)


async def test_who_held_production_is_archived_in_the_same_step(
    stages: Stages, versions: Versions, resolver: Resolver, models: Models, artifacts: Artifacts, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    await _move(stages, me, 1, Stage.PRODUCTION)
    await _move(stages, me, 2, Stage.PRODUCTION)
    assert (await versions.get(DIGITS, 1)).stage is Stage.ARCHIVED
    assert (await resolver.now(DIGITS, Stage.PRODUCTION)).version == 2
    assert (await models.get(DIGITS)).stages == {Stage.PRODUCTION: 2}


async def test_versions_in_different_stages_stand_beside_each_other(
    stages: Stages, versions: Versions, models: Models, artifacts: Artifacts, me: Origin
) -> None:
    """R-23."""
    await _versions(versions, artifacts, me)
    await _move(stages, me, 1, Stage.PRODUCTION)
    await _move(stages, me, 2, Stage.STAGING)
    assert (await models.get(DIGITS)).stages == {Stage.PRODUCTION: 1, Stage.STAGING: 2}


async def test_an_archived_version_can_come_back(
    stages: Stages, versions: Versions, resolver: Resolver, artifacts: Artifacts, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    for number in (1, 2, 1):
        await _move(stages, me, number, Stage.PRODUCTION)
    assert (await resolver.now(DIGITS, Stage.PRODUCTION)).version == 1


async def test_an_empty_stage_is_told(
    stages: Stages, versions: Versions, resolver: Resolver, artifacts: Artifacts, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    with pytest.raises(StageIsEmpty):
        await resolver.now(DIGITS, Stage.PRODUCTION)
    with pytest.raises(ModelVersionNotFound):
        await _move(stages, me, 7, Stage.PRODUCTION)


async def test_every_move_is_in_the_history_newest_first(
    stages: Stages, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    await _move(stages, me, 1, Stage.PRODUCTION)
    await _move(stages, me, 1, Stage.PRODUCTION)  # is there already: no move
    await _move(stages, me, 2, Stage.PRODUCTION)
    first = await stages.transitions(DIGITS, 2, "")
    second = await stages.transitions(DIGITS, 2, first.next_page_token)
    assert [(move.version, move.from_stage, move.to_stage) for move in (*first.items, *second.items)] == [
        (2, Stage.DEVELOPMENT, Stage.PRODUCTION),
        (1, Stage.PRODUCTION, Stage.ARCHIVED),
        (1, Stage.DEVELOPMENT, Stage.PRODUCTION),
    ]
    assert [move.why.comment for move in first.items] == ["because", "replaced by version 2"]


async def test_a_stale_etag_is_refused(stages: Stages, versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    await _versions(versions, artifacts, me)
    etag = etag_of((await versions.get(DIGITS, 1)).revision)
    await _move(stages, me, 1, Stage.STAGING, etag)
    with pytest.raises(EtagMismatch):
        await _move(stages, me, 1, Stage.PRODUCTION, etag)


async def test_of_fifty_who_move_with_one_etag_exactly_one_wins(
    stages: Stages, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """Promise 3."""
    await _versions(versions, artifacts, me, count=1)
    etag = etag_of((await versions.get(DIGITS, 1)).revision)

    async def move(number: int) -> bool:
        try:
            await _move(stages, me, 1, (Stage.STAGING, Stage.PRODUCTION)[number % 2], etag)
        except EtagMismatch:
            return False
        return True

    assert sum(await asyncio.gather(*(move(number) for number in range(50)))) == 1
    assert len((await stages.transitions(DIGITS, 100, "")).items) == 1


async def test_different_versions_raced_to_production_leave_one_there(
    stages: Stages, versions: Versions, models: Models, artifacts: Artifacts, me: Origin
) -> None:
    await _versions(versions, artifacts, me, count=6)
    await asyncio.gather(*(_move(stages, me, number, Stage.PRODUCTION) for number in range(1, 7)))
    held = [
        version.version for version in (await versions.page(DIGITS, 10, "")).items if version.stage is Stage.PRODUCTION
    ]
    assert held == [(await models.get(DIGITS)).stages[Stage.PRODUCTION]]


@pytest.mark.parametrize(
    ("value", "told"), [(0.949, "0.949"), (None, "missing"), (math.nan, "nan"), (-math.inf, "-inf")]
)
async def test_an_objective_that_is_not_met_holds_a_version_back(
    stages: Stages,
    versions: Versions,
    models: Models,
    runs: Runs,
    artifacts: Artifacts,
    me: Origin,
    value: float | None,
    told: str,
) -> None:
    """P-18, M-94: the server judges, and names criterion, bound and value."""
    run = await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, "", ""), me)
    if value is not None:
        await runs.log(run.name, metrics(accuracy=value), {}, me)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    await versions.create(DIGITS, version_of(files, run.name), me)
    await models.add_objective(
        DIGITS, NewObjective("accurate", Stage.PRODUCTION, "accuracy", Comparison.AT_LEAST, 0.95), me
    )
    with pytest.raises(ObjectiveNotMet) as refused:
        await _move(stages, me, 1, Stage.PRODUCTION)
    assert refused.value.metadata == {
        "objective": "accurate",
        "metric": "accuracy",
        "comparison": "AT_LEAST",
        "bound": "0.95",
        "value": told,
    }
    assert (await versions.get(DIGITS, 1)).stage is Stage.DEVELOPMENT
    await _move(stages, me, 1, Stage.STAGING)  # which the objective does not guard


async def test_objectives_that_are_met_let_a_version_pass(
    stages: Stages, versions: Versions, resolver: Resolver, models: Models, runs: Runs, artifacts: Artifacts, me: Origin
) -> None:
    run = await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, "", ""), me)
    await runs.log(run.name, metrics(accuracy=0.95, loss=0.1), {}, me)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    await versions.create(DIGITS, version_of(files, run.name), me)
    for name, metric, comparison, bound in (
        ("accurate", "accuracy", Comparison.AT_LEAST, 0.95),
        ("converged", "loss", Comparison.AT_MOST, 0.1),
    ):
        await models.add_objective(DIGITS, NewObjective(name, Stage.PRODUCTION, metric, comparison, bound), me)
    await _move(stages, me, 1, Stage.PRODUCTION)
    assert (await resolver.now(DIGITS, Stage.PRODUCTION)).version == 1

"""Models, aliases and objectives, over every store."""

import asyncio

import pytest

from chassis.etags import EtagMismatch, etag_of
from headwater.names import ModelName, ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.errors import InvalidAlias, ModelAlreadyExists, ModelNotFound, ObjectiveAlreadyExists
from services.registry.models.model import Comparison, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from services.registry.versions.errors import AliasNotFound, ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, upload, version_of

ACCURATE = NewObjective("accurate", Stage.PRODUCTION, "test/accuracy", Comparison.AT_LEAST, 0.95)


async def test_a_created_model_is_found(models: Models, me: Origin) -> None:
    made = await models.create(DIGITS, "Digits", "Reads digits", me)
    assert await models.get(DIGITS) == made
    assert (made.latest_version, made.aliases, made.stages) == (0, {}, {})


async def test_a_name_that_differs_in_case_only_is_taken(models: Models, me: Origin) -> None:
    """M-02."""
    await models.create(DIGITS, "", "", me)
    with pytest.raises(ModelAlreadyExists):
        await models.create(ModelName("default", "Digits"), "", "", me)
    with pytest.raises(ModelNotFound):
        await models.get(ModelName("default", "Digits"))


async def test_a_retry_returns_the_first_model(models: Models) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateModel", "request-1", "digest-1")
    assert await models.create(DIGITS, "", "", origin) == await models.create(DIGITS, "", "", origin)


async def test_a_model_needs_its_project(models: Models, me: Origin) -> None:
    with pytest.raises(ProjectNotFound):
        await models.create(ModelName("nowhere", "digits"), "", "", me)
    with pytest.raises(ProjectNotFound):
        await models.page(ProjectName("nowhere"), 10, "")


async def test_models_are_listed_by_name_page_by_page(models: Models, me: Origin) -> None:
    for name in ("b", "A", "c", "a-1", "a_1"):
        await models.create(ModelName("default", name), "", "", me)
    names, token = [], ""
    while True:
        page = await models.page(DEFAULT, 2, token)
        names += [model.model for model in page.items]
        token = page.next_page_token
        if not token:
            break
    assert names == ["A", "a-1", "a_1", "b", "c"]


async def test_an_alias_points_at_a_version_and_can_be_moved(
    models: Models, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(weights), me)
    await models.set_alias(DIGITS, "Champion", 1, "", me)
    assert (await versions.with_alias(DIGITS, "champion")).version == 1
    moved = await models.set_alias(DIGITS, "champion", 2, "", me)
    assert moved.aliases == {"champion": 2}
    assert (await models.set_alias(DIGITS, "champion", None, "", me)).aliases == {}
    with pytest.raises(AliasNotFound):
        await versions.with_alias(DIGITS, "champion")


async def test_an_alias_points_only_at_what_is_there(models: Models, me: Origin) -> None:
    await models.create(DIGITS, "", "", me)
    with pytest.raises(ModelVersionNotFound):
        await models.set_alias(DIGITS, "champion", 1, "", me)


@pytest.mark.parametrize("alias", ["production", "Staging", "ARCHIVED", "development", "3", "v3"])
async def test_an_alias_that_means_something_else_is_refused(models: Models, alias: str, me: Origin) -> None:
    await models.create(DIGITS, "", "", me)
    with pytest.raises(InvalidAlias):
        await models.set_alias(DIGITS, alias, None, "", me)


async def test_of_many_who_move_an_alias_with_one_etag_exactly_one_wins(
    models: Models, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """Promise 3."""
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(weights), me)
    etag = etag_of((await models.get(DIGITS)).revision)

    async def move(number: int) -> bool:
        try:
            await models.set_alias(DIGITS, "champion", number, etag, me)
        except EtagMismatch:
            return False
        return True

    won = await asyncio.gather(*(move(1 + number % 2) for number in range(20)))
    assert sum(won) == 1


async def test_an_objective_makes_its_model(models: Models, me: Origin) -> None:
    made = await models.add_objective(DIGITS, ACCURATE, me)
    assert (await models.objectives(DIGITS, 10, "")).items == [made]
    assert (await models.get(DIGITS)).latest_version == 0


async def test_an_objective_is_there_once(models: Models, me: Origin) -> None:
    origin = Origin("tester", "CreateObjective", "request-1", "digest-1")
    first = await models.add_objective(DIGITS, ACCURATE, origin)
    assert await models.add_objective(DIGITS, ACCURATE, origin) == first
    with pytest.raises(ObjectiveAlreadyExists):
        await models.add_objective(DIGITS, ACCURATE, me)


async def test_objectives_are_listed_by_name_page_by_page(models: Models, me: Origin) -> None:
    for name in ("slow", "accurate", "Fair"):
        await models.add_objective(DIGITS, NewObjective(name, Stage.STAGING, "m", Comparison.AT_MOST, 1.0), me)
    first = await models.objectives(DIGITS, 2, "")
    second = await models.objectives(DIGITS, 2, first.next_page_token)
    assert [each.objective for each in (*first.items, *second.items)] == ["accurate", "Fair", "slow"]

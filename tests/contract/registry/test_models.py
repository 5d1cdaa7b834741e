"""Models, aliases and objectives, over every store."""

import pytest

from headwater.names import ModelName, ProjectName
from services.registry.models.errors import ModelAlreadyExists, ModelNotFound, ObjectiveAlreadyExists
from services.registry.models.model import About, Comparison, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from tests.contract.registry.builders import DEFAULT, DIGITS

ACCURATE = NewObjective("accurate", Stage.PRODUCTION, "test/accuracy", Comparison.AT_LEAST, 0.95)


async def test_a_created_model_is_found(models: Models, me: Origin) -> None:
    made = await models.create(DIGITS, About("Digits", "Reads digits", {"team": "vision"}), me)
    assert await models.get(DIGITS) == made
    assert (made.latest_version, made.aliases, made.stages) == (0, {}, {})


async def test_a_name_that_differs_in_case_only_is_taken(models: Models, me: Origin) -> None:
    """M-02."""
    await models.create(DIGITS, About(), me)
    with pytest.raises(ModelAlreadyExists):
        await models.create(ModelName("default", "Digits"), About(), me)
    with pytest.raises(ModelNotFound):
        await models.get(ModelName("default", "Digits"))


async def test_a_retry_returns_the_first_model(models: Models) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateModel", "request-1", "digest-1")
    assert await models.create(DIGITS, About(), origin) == await models.create(DIGITS, About(), origin)


async def test_a_model_needs_its_project(models: Models, me: Origin) -> None:
    with pytest.raises(ProjectNotFound):
        await models.create(ModelName("nowhere", "digits"), About(), me)
    with pytest.raises(ProjectNotFound):
        await models.page(ProjectName("nowhere"), 10, "")


async def test_models_are_listed_by_name_page_by_page(models: Models, me: Origin) -> None:
    for name in ("b", "A", "c", "a-1", "a_1"):
        await models.create(ModelName("default", name), About(), me)
    names, token = [], ""
    while True:
        page = await models.page(DEFAULT, 2, token)
        names += [model.model for model in page.items]
        token = page.next_page_token
        if not token:
            break
    assert names == ["A", "a-1", "a_1", "b", "c"]


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

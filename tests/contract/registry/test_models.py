"""Models, aliases and objectives, over every store."""

import pytest

from chassis.paging import InvalidPageToken
from headwater.names import ModelName, ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.errors import ModelAlreadyExists, ModelNotFound, ObjectiveAlreadyExists
from services.registry.models.model import About, Comparison, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.model import Why
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from services.registry.search.errors import InvalidFilter, InvalidOrder
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, upload, version_of

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


async def test_a_page_of_models_ends_early_where_much_is_said_of_them(
    models: Models, me: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: a thousand models with a mebibyte of tags each fit into no message."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 1000)
    said = About(description="x" * 30_000, tags={"note": "y" * 4000})
    for name in ("a", "b", "c"):
        await models.create(ModelName("default", name), said, me)
    first = await models.page(DEFAULT, 10, "")
    rest = await models.page(DEFAULT, 10, first.next_page_token)
    assert [[model.model for model in page.items] for page in (first, rest)] == [["a"], ["b"]]
    assert [model.model for model in (await models.page(DEFAULT, 10, rest.next_page_token)).items] == ["c"]


SEARCHES = (
    ("", "", ["cats", "Digits", "letters"]),
    ("tags.team = 'vision'", "", ["cats", "Digits"]),
    ("tags.team = 'vision' AND name ILIKE 'd%'", "", ["Digits"]),
    ("NOT tags.team = 'vision'", "", ["letters"]),
    ("name LIKE '%s'", "name DESC", ["letters", "cats", "Digits"]),
    ("state = 'Active'", "tags.tier desc", ["letters", "cats", "Digits"]),
    ("aliases.champion IS NOT NULL", "", ["Digits"]),
    ("latest_version >= 1", "create_time", ["Digits"]),
)


@pytest.mark.parametrize(("where", "order_by", "found"), SEARCHES)
async def test_models_are_searched_page_by_page(
    models: Models,
    versions: Versions,
    artifacts: Artifacts,
    aliases: Aliases,
    me: Origin,
    where: str,
    order_by: str,
    found: list[str],
) -> None:
    for name, tags in (
        ("Digits", {"team": "vision"}),
        ("letters", {"tier": "2"}),
        ("cats", {"team": "vision", "tier": "1"}),
    ):
        await models.create(ModelName("default", name), About(tags=tags), me)
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    await versions.create(ModelName("default", "Digits"), version_of(weights), me)
    await aliases.set(ModelName("default", "Digits"), "champion", 1, etag="", why=Why(), origin=me)
    names, token = [], ""
    while True:
        page = await models.page(DEFAULT, 1, token, where=where, order_by=order_by)
        names += [model.model for model in page.items]
        token = page.next_page_token
        if not token:
            break
    assert names == found


async def test_a_search_that_cannot_be_meant_is_refused(models: Models) -> None:
    with pytest.raises(InvalidFilter):
        await models.page(DEFAULT, 10, "", where="nome = 'digits'")
    with pytest.raises(InvalidOrder):
        await models.page(DEFAULT, 10, "", order_by="name_key")
    with pytest.raises(InvalidPageToken):
        await models.page(DEFAULT, 10, "garbage")


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

"""Aliases of versions, over every store."""

import asyncio

import pytest

from chassis.etags import EtagMismatch, etag_of
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.errors import InvalidAlias, TooManyAliases
from services.registry.models.model import About
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.model import Why
from services.registry.moves.resolving import Resolver
from services.registry.origin import Origin
from services.registry.versions.errors import AliasNotFound, ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DIGITS, upload, version_of


async def test_an_alias_points_at_a_version_and_can_be_moved(
    aliases: Aliases, resolver: Resolver, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(weights), me)
    await aliases.set(DIGITS, "Champion", 1, etag="", why=Why(), origin=me)
    assert (await resolver.now(DIGITS, "champion")).version == 1
    moved = await aliases.set(DIGITS, "champion", 2, etag="", why=Why(), origin=me)
    assert moved.aliases == {"champion": 2}
    assert (await aliases.set(DIGITS, "champion", None, etag="", why=Why(), origin=me)).aliases == {}
    with pytest.raises(AliasNotFound):
        await resolver.now(DIGITS, "champion")


async def test_an_alias_points_only_at_what_is_there(aliases: Aliases, models: Models, me: Origin) -> None:
    await models.create(DIGITS, About(), me)
    with pytest.raises(ModelVersionNotFound):
        await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)


@pytest.mark.parametrize("alias", ["production", "Staging", "ARCHIVED", "development", "3", "v3"])
async def test_an_alias_that_means_something_else_is_refused(
    aliases: Aliases, models: Models, alias: str, me: Origin
) -> None:
    await models.create(DIGITS, About(), me)
    with pytest.raises(InvalidAlias):
        await aliases.set(DIGITS, alias, None, etag="", why=Why(), origin=me)


async def test_the_aliases_of_a_model_are_bounded_and_those_there_are_can_be_moved(
    aliases: Aliases, versions: Versions, artifacts: Artifacts, me: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: all of them are told with the model."""
    monkeypatch.setattr("services.registry.moves.aliases.MAX_ALIASES", 2)
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(weights), me)
    for alias in ("a", "b"):
        await aliases.set(DIGITS, alias, 1, etag="", why=Why(), origin=me)
    with pytest.raises(TooManyAliases):
        await aliases.set(DIGITS, "c", 1, etag="", why=Why(), origin=me)
    await aliases.set(DIGITS, "b", 2, etag="", why=Why(), origin=me)
    await aliases.set(DIGITS, "a", None, etag="", why=Why(), origin=me)
    assert (await aliases.set(DIGITS, "c", 1, etag="", why=Why(), origin=me)).aliases == {"b": 2, "c": 1}


async def test_of_many_who_move_an_alias_with_one_etag_exactly_one_wins(
    aliases: Aliases, models: Models, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """Promise 3."""
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(weights), me)
    etag = etag_of((await models.get(DIGITS)).revision)

    async def move(number: int) -> bool:
        try:
            await aliases.set(DIGITS, "champion", number, etag=etag, why=Why(), origin=me)
        except EtagMismatch:
            return False
        return True

    won = await asyncio.gather(*(move(1 + number % 2) for number in range(20)))
    assert sum(won) == 1

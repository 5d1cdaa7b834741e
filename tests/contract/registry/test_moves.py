"""Where stages and aliases pointed at a time, and why they were moved, over every store."""

import asyncio
import datetime
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from chassis.ids import new_id
from headwater.names import ModelName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.errors import ModelNotFound
from services.registry.models.model import Stage
from services.registry.moves.aliases import Aliases
from services.registry.moves.errors import TimeNotReached
from services.registry.moves.model import Evidence, Pointer, Transition, Why, after
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.states import State
from services.registry.store import Store
from services.registry.versions.errors import (
    AliasNotFound,
    ModelVersionArchived,
    ModelVersionNotFound,
    StageIsEmpty,
    UnsafeModel,
)
from services.registry.versions.model import View
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DIGITS, upload, version_of

WHY = Why("It is better", [Evidence("evaluation report", "https://example.com/report", f"sha256:{'a' * 64}")])
TICK = datetime.timedelta(microseconds=1)


async def _versions(
    versions: Versions, artifacts: Artifacts, me: Origin, count: int = 3, name: ModelName = DIGITS
) -> None:
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(count):
        await versions.create(name, version_of(files), me)


async def test_the_evidence_given_is_in_the_history(
    versions: Versions, artifacts: Artifacts, stages: Stages, aliases: Aliases, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    await stages.move(DIGITS, 1, Stage.STAGING, etag="", why=WHY, origin=me)
    await aliases.set(DIGITS, "Champion", 1, etag="", why=WHY, origin=me)
    [move] = (await stages.transitions(DIGITS, 10, "")).items
    [change] = (await aliases.changes(DIGITS, "", 10, "")).items
    assert (move.why, move.actor) == (change.why, change.actor) == (WHY, "tester")


async def test_moves_of_aliases_are_listed_newest_first_page_by_page(
    versions: Versions, artifacts: Artifacts, aliases: Aliases, me: Origin
) -> None:
    await _versions(versions, artifacts, me)
    for alias, number in (("champion", 1), ("shadow", 1), ("champion", 2), ("champion", 2), ("champion", None)):
        await aliases.set(DIGITS, alias, number, etag="", why=Why(), origin=me)
    first = await aliases.changes(DIGITS, "", 3, "")
    second = await aliases.changes(DIGITS, "", 3, first.next_page_token)
    assert [(change.alias, change.from_version, change.to_version) for change in (*first.items, *second.items)] == [
        ("champion", 2, 0),
        ("champion", 1, 2),
        ("shadow", 0, 1),
        ("champion", 0, 1),
    ]
    [shadow] = (await aliases.changes(DIGITS, "SHADOW", 10, "")).items
    assert shadow.alias == "shadow"


async def test_a_page_of_moves_ends_early_where_much_was_said_of_them(
    versions: Versions,
    artifacts: Artifacts,
    stages: Stages,
    aliases: Aliases,
    me: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise 8: a hundred pieces of evidence of 8 KiB each, and a thousand such moves fit into no message."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 1000)
    await _versions(versions, artifacts, me, 2)
    why = Why("", [Evidence("x" * 4000, "y" * 4000, "")] * 6)
    for number in (1, 2, 1):
        await stages.move(DIGITS, number, Stage.ARCHIVED, etag="", why=why, origin=me)
        await stages.move(DIGITS, number, Stage.DEVELOPMENT, etag="", why=why, origin=me)
        await aliases.set(DIGITS, "champion", number, etag="", why=why, origin=me)
    transitions: list[tuple[int, Stage]] = []
    changes: list[int] = []
    token, pages = "", 0
    while token or not pages:
        moves = await stages.transitions(DIGITS, 10, token)
        token, pages = moves.next_page_token, pages + 1
        transitions += [(move.version, move.to_stage) for move in moves.items]
    assert pages == 6
    back_and_forth = (Stage.DEVELOPMENT, Stage.ARCHIVED)
    assert transitions == [(number, stage) for number in (1, 2, 1) for stage in back_and_forth]
    while token or not changes:
        page = await aliases.changes(DIGITS, "", 10, token)
        token = page.next_page_token
        changes += [change.to_version for change in page.items]
        assert len(page.items) == 1
    assert changes == [1, 2, 1]


async def test_versions_go_to_different_stages_at_once(
    versions: Versions, artifacts: Artifacts, stages: Stages, resolver: Resolver, me: Origin
) -> None:
    """R-23."""
    await _versions(versions, artifacts, me)
    held = {1: Stage.PRODUCTION, 2: Stage.STAGING, 3: Stage.DEVELOPMENT}
    await asyncio.gather(
        *(stages.move(DIGITS, number, stage, etag="", why=Why(), origin=me) for number, stage in held.items())
    )
    assert (await resolver.now(DIGITS, Stage.PRODUCTION)).version == 1
    assert (await resolver.now(DIGITS, Stage.STAGING)).version == 2


async def test_a_basic_view_is_resolved_without_what_the_files_hold(
    versions: Versions, artifacts: Artifacts, aliases: Aliases, resolver: Resolver, me: Origin
) -> None:
    await _versions(versions, artifacts, me, count=1)
    await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)
    for view in View:
        assert await resolver.now(DIGITS, "champion", view) == await versions.get(DIGITS, 1, view)


async def test_what_points_nowhere_is_told(
    versions: Versions, artifacts: Artifacts, resolver: Resolver, me: Origin
) -> None:
    now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    for pointer in ("champion", Stage.STAGING):
        with pytest.raises(ModelNotFound):
            await resolver.now(DIGITS, pointer)
    await _versions(versions, artifacts, me, count=1)
    pointers: Sequence[tuple[Pointer, type[Exception]]] = (("champion", AliasNotFound), (Stage.STAGING, StageIsEmpty))
    for pointer, error in pointers:
        with pytest.raises(error):
            await resolver.now(DIGITS, pointer)
        with pytest.raises(error):
            await resolver.at(DIGITS, pointer, now)


async def test_nobody_knows_what_will_hold(
    versions: Versions, artifacts: Artifacts, aliases: Aliases, resolver: Resolver, me: Origin
) -> None:
    await _versions(versions, artifacts, me, count=1)
    await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    with pytest.raises(TimeNotReached):
        await resolver.at(DIGITS, "champion", ahead)


async def test_what_may_not_be_served_enters_neither_staging_nor_production(
    store: Store, versions: Versions, artifacts: Artifacts, stages: Stages, aliases: Aliases, me: Origin
) -> None:
    """Promise 12."""
    pickle = b"\x80\x04cos\nsystem\n\x94\x8c\x04true\x94\x85\x94R\x94."
    await versions.create(DIGITS, version_of({"model.pkl": await upload(artifacts, pickle, me)}), me)
    await _versions(versions, artifacts, me, count=1)
    assert (await versions.get(DIGITS, 1)).problems
    async with store.transaction() as tx:
        version = await tx.versions.get(DIGITS, 2)
        await tx.versions.update(version.changed(version.update_time, state=State.ARCHIVED))
    for number, error in ((1, UnsafeModel), (2, ModelVersionArchived)):
        for stage in (Stage.STAGING, Stage.PRODUCTION):
            with pytest.raises(error):
                await stages.move(DIGITS, number, stage, etag="", why=Why(), origin=me)
        await stages.move(DIGITS, number, Stage.ARCHIVED, etag="", why=Why(), origin=me)
    with pytest.raises(ModelVersionArchived):
        await aliases.set(DIGITS, "champion", 2, etag="", why=Why(), origin=me)
    await aliases.set(DIGITS, "suspect", 1, etag="", why=Why(), origin=me)


def test_a_clock_that_is_set_back_reorders_nothing() -> None:
    """Promise 18."""
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    last = Transition(1, Stage.DEVELOPMENT, Stage.STAGING, "tester", now, Why())
    assert after([last], now - datetime.timedelta(days=1)) == now + TICK
    assert after([last], now + datetime.timedelta(days=1)) == now + datetime.timedelta(days=1)
    assert after([], now) == now


MOVES = some.lists(
    some.tuples(
        some.sampled_from([Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED, Stage.DEVELOPMENT, "champion", "shadow"]),
        some.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
)
POINTERS: Sequence[Pointer] = (Stage.STAGING, Stage.PRODUCTION, "champion", "shadow")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_the_histories_tell_what_held_at_any_time(
    versions: Versions,
    artifacts: Artifacts,
    stages: Stages,
    aliases: Aliases,
    resolver: Resolver,
    me: Origin,
    moves: Sequence[tuple[Pointer, int]],
) -> None:
    """Whatever is moved: what was found right after a move is found again for that time, later too."""
    name = ModelName("default", f"m-{new_id()}")
    await _versions(versions, artifacts, me, name=name)
    seen: list[tuple[datetime.datetime, dict[Pointer, int]]] = []
    for pointer, number in moves:
        if not isinstance(pointer, Stage):
            await aliases.set(name, pointer, number or None, etag="", why=Why(), origin=me)
        elif number:
            await stages.move(name, number, pointer, etag="", why=Why(), origin=me)
        held = {each: await _held(resolver, name, each) for each in POINTERS}
        seen.append((await _last_time(stages, aliases, name), held))
    for time, held in seen:
        assert {each: await _held(resolver, name, each, time) for each in POINTERS} == held
    before_all = seen[0][0] - datetime.timedelta(minutes=1)
    assert {await _held(resolver, name, each, before_all) for each in POINTERS} == {0}


async def _held(resolver: Resolver, name: ModelName, pointer: Pointer, time: datetime.datetime | None = None) -> int:
    try:
        found = resolver.at(name, pointer, time) if time else resolver.now(name, pointer)
        return (await found).version
    except (StageIsEmpty, AliasNotFound):
        return 0


async def _last_time(stages: Stages, aliases: Aliases, name: ModelName) -> datetime.datetime:
    moves = (await stages.transitions(name, 1, "")).items
    changes = (await aliases.changes(name, "", 1, "")).items
    times = [*(move.time for move in moves), *(change.time for change in changes)]
    return max(times) if times else datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)


async def test_a_version_that_is_not_there_is_moved_nowhere(
    versions: Versions, artifacts: Artifacts, aliases: Aliases, me: Origin
) -> None:
    await _versions(versions, artifacts, me, count=1)
    with pytest.raises(ModelVersionNotFound):
        await aliases.set(DIGITS, "champion", 7, etag="", why=Why(), origin=me)
    assert not (await aliases.changes(DIGITS, "", 10, "")).items

"""Saying more of a version, and taking it out of use and back, over every store."""

import pytest

from chassis.etags import EtagMismatch, etag_of
from chassis.testing import ManualClock
from headwater.names import ModelName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, NewEdge, Role
from services.registry.models.errors import InvalidReplacement
from services.registry.models.model import Stage
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.model import Why
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.runs.runs import Runs
from services.registry.states import State, TransitionNotAllowed
from services.registry.store import Store
from services.registry.versions.changes import VersionChanges
from services.registry.versions.errors import (
    InUse,
    ModelVersionArchived,
    ModelVersionNotFound,
)
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, upload, version_of


@pytest.fixture
def changes(store: Store, clock: ManualClock) -> VersionChanges:
    """The use cases of versions that are there."""
    return VersionChanges(store, clock)


@pytest.fixture(autouse=True)
async def two_versions(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    """``digits`` has two versions."""
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(2):
        await versions.create(DIGITS, version_of(files, tags=["first"]), me)


async def _listed(versions: Versions, *, show_inactive: bool = False) -> list[int]:
    page = await versions.page(DIGITS, 10, "", show_inactive=show_inactive)
    return [version.version for version in page.items]


async def test_what_is_said_of_a_version_can_change_and_nothing_else_does(
    changes: VersionChanges, versions: Versions, clock: ManualClock, me: Origin
) -> None:
    before = await versions.get(DIGITS, 1)
    clock.advance(60)
    changed = await changes.describe(DIGITS, 1, {"description": "new", "tags": ["a", "b"]}, "", me)
    after = await versions.get(DIGITS, 1)
    assert (after.description, list(after.tags), after.digest) == ("new", ["a", "b"], before.digest)
    assert after.revision == changed.revision == before.revision + 1
    assert after.update_time > before.update_time
    assert after.create_time == before.create_time
    assert (await versions.get(DIGITS, 2)).description == ""


async def test_a_change_that_changes_nothing_leaves_the_etag(
    changes: VersionChanges, versions: Versions, me: Origin
) -> None:
    before = await versions.get(DIGITS, 1)
    same = await changes.describe(DIGITS, 1, {"description": ""}, etag_of(before.revision), me)
    assert same.revision == before.revision


async def test_a_stale_etag_is_refused_by_every_change(changes: VersionChanges, me: Origin) -> None:
    """Promise 3."""
    stale = etag_of(7)
    for change in (
        changes.describe(DIGITS, 1, {"description": "x"}, stale, me),
        changes.deprecate(DIGITS, 1, None, stale, me),
        changes.archive(DIGITS, 1, stale, me),
        changes.reactivate(DIGITS, 1, stale, me),
    ):
        with pytest.raises(EtagMismatch):
            await change


async def test_a_deprecated_version_is_not_listed_and_says_what_to_use_instead(
    changes: VersionChanges, versions: Versions, me: Origin
) -> None:
    """M-05."""
    await changes.deprecate(DIGITS, 1, (DIGITS, 2), "", me)
    found = await versions.get(DIGITS, 1)
    assert (found.state, found.replacement) == (State.DEPRECATED, f"{DIGITS}/versions/2")
    assert found.warning == f"{DIGITS}/versions/1 is deprecated: use {DIGITS}/versions/2 instead."
    assert (await _listed(versions), await _listed(versions, show_inactive=True)) == ([2], [2, 1])
    assert (await changes.deprecate(DIGITS, 1, None, "", me)).replacement == ""
    assert (await changes.reactivate(DIGITS, 1, "", me)).warning == ""
    assert await _listed(versions) == [2, 1]


async def test_a_replacement_is_another_version_that_is_in_use(changes: VersionChanges, me: Origin) -> None:
    for wrong in ((DIGITS, 9), (ModelName("default", "nobody"), 1)):
        with pytest.raises(ModelVersionNotFound):
            await changes.deprecate(DIGITS, 1, wrong, "", me)
    with pytest.raises(InvalidReplacement):
        await changes.deprecate(DIGITS, 1, (DIGITS, 1), "", me)
    await changes.archive(DIGITS, 2, "", me)
    with pytest.raises(InvalidReplacement):
        await changes.deprecate(DIGITS, 1, (DIGITS, 2), "", me)


async def test_an_archived_version_is_kept_and_enters_no_stage(
    changes: VersionChanges, versions: Versions, stages: Stages, me: Origin
) -> None:
    """M-06, M-09."""
    archived = await changes.archive(DIGITS, 1, "", me)
    assert await changes.archive(DIGITS, 1, "", me) == archived
    assert (await versions.get(DIGITS, 1)).state is State.ARCHIVED
    assert await _listed(versions) == [2]
    with pytest.raises(ModelVersionArchived):
        await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)
    with pytest.raises(TransitionNotAllowed):
        await changes.deprecate(DIGITS, 1, None, "", me)
    await changes.reactivate(DIGITS, 1, "", me)
    assert (await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)).version == 1


async def test_a_version_in_a_stage_is_archived_by_force_only_and_leaves_it(
    changes: VersionChanges, versions: Versions, stages: Stages, models: Models, me: Origin
) -> None:
    await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)
    with pytest.raises(InUse, match="production"):
        await changes.archive(DIGITS, 1, "", me)
    forced = await changes.archive(DIGITS, 1, "", me, force=True)
    assert (forced.state, forced.stage) == (State.ARCHIVED, Stage.ARCHIVED)
    assert (await models.get(DIGITS)).stages == {}
    assert [move.to_stage for move in (await stages.transitions(DIGITS, 10, "")).items] == [
        Stage.ARCHIVED,
        Stage.PRODUCTION,
    ]
    assert await versions.get(DIGITS, 1) == forced


async def test_what_depends_on_a_version_is_told_when_it_is_to_be_archived(
    changes: VersionChanges, runs: Runs, lineages: Lineages, aliases: Aliases, me: Origin
) -> None:
    """M-16: an alias, and what was made of it."""
    await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)
    with pytest.raises(InUse, match="champion"):
        await changes.archive(DIGITS, 1, "", me)
    run = await runs.create(DEFAULT, a_run(), me)
    edge = NewEdge(f"{DIGITS}/versions/2", str(run.name), str(run.name), Role.INPUT)
    await lineages.connect(DEFAULT, Connections([], [edge]), me)
    with pytest.raises(InUse, match="1 run came of it"):
        await changes.archive(DIGITS, 2, "", me)
    assert (await changes.archive(DIGITS, 2, "", me, force=True)).state is State.ARCHIVED

"""Versions are found by what is known of them, in the order asked for, page by page, over every store."""

from typing import Any

import pytest

from chassis.paging import InvalidPageToken, encode_token, query_digest
from chassis.testing import ManualClock
from headwater.names import ModelName, ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.models.errors import ModelNotFound
from services.registry.models.lifecycle import Lifecycle
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from services.registry.runs.runs import Runs
from services.registry.search.errors import InvalidFilter, InvalidOrder
from services.registry.store import Store
from services.registry.versions.changes import VersionChanges
from services.registry.versions.convert import version_to_proto
from services.registry.versions.model import View
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, metrics, safetensors, upload, version_of

OTHER = ModelName("default", "faces")


@pytest.fixture(autouse=True)
async def four_versions(versions: Versions, runs: Runs, artifacts: Artifacts, clock: ManualClock, me: Origin) -> None:
    """Three versions of ``digits`` with rising accuracy, the second without any, and one of ``faces``."""
    weights = {"weights.bin": await upload(artifacts, b"weights", me)}
    tensors = {"model.safetensors": await upload(artifacts, safetensors(weight=(3, 4)), me)}
    for model, files, accuracy, said in (
        (DIGITS, weights, 0.5, {"semantic_version": "v1.0.0", "annotations": {"team": "vision"}}),
        (DIGITS, tensors, None, {"task": "image-classification"}),
        (DIGITS, weights, 0.9, {"architecture": "resnet50", "annotations": {"team": "audio"}}),
        (OTHER, weights, 0.7, {"annotations": {"team": "vision"}}),
    ):
        run = await runs.create(DEFAULT, a_run(), me)
        if accuracy is not None:
            await runs.log(run.name, metrics(accuracy=accuracy), {}, me)
        await versions.create(model, version_of(files, run.name if accuracy else None, **said), me)
        clock.advance(60)


async def _found(versions: Versions, scope: ModelName | ProjectName = DIGITS, **asked: Any) -> list[str]:
    """What is found, page by page of two, as ``digits@3``."""
    found: list[str] = []
    token = ""
    while True:
        page = await versions.page(scope, 2, token, view=View.BASIC, **asked)
        found += [f"{version.model}@{version.version}" for version in page.items]
        token = page.next_page_token
        if not token:
            return found


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("metrics.accuracy > 0.6", "3"),
        ("metrics.accuracy IS NULL", "2"),
        ("tags.team = 'vision'", "1"),
        ("annotations.team LIKE '%io%' AND stage = 'development'", "31"),
        ("format = 'SAFETENSORS' OR version_number = 1", "21"),
        ("framework = 'pytorch' AND NOT architecture = 'resnet50'", "21"),
        ("semantic_version = 'v1.0.0'", "1"),
        ("run_id IS NULL", "2"),
        ("task = 'image-classification'", "2"),
        ("parameter_count >= 12", "2"),
        ("name = 'faces'", ""),
        ("state = 'ACTIVE' AND create_time > '2000-01-01T00:00:00Z'", "321"),
    ],
)
async def test_a_filter_finds_versions_of_a_model(versions: Versions, where: str, numbers: str) -> None:
    assert await _found(versions, where=where) == [f"digits@{number}" for number in numbers]


async def test_versions_come_in_the_order_asked_for_page_by_page(versions: Versions) -> None:
    assert await _found(versions, order_by="metrics.accuracy") == ["digits@1", "digits@3", "digits@2"]
    assert await _found(versions, order_by="metrics.accuracy desc") == ["digits@3", "digits@1", "digits@2"]
    assert await _found(versions, order_by="create_time") == ["digits@1", "digits@2", "digits@3"]
    assert await _found(versions) == ["digits@3", "digits@2", "digits@1"]


async def test_versions_of_all_models_are_found_at_once(versions: Versions) -> None:
    assert await _found(versions, DEFAULT) == ["faces@1", "digits@3", "digits@2", "digits@1"]
    assert await _found(versions, DEFAULT, where="tags.team = 'vision'", order_by="name") == ["digits@1", "faces@1"]


async def test_what_is_out_of_use_is_found_only_when_asked_for(
    versions: Versions, store: Store, clock: ManualClock, me: Origin
) -> None:
    await VersionChanges(store, clock).archive(DIGITS, 2, "", me)
    assert await _found(versions) == ["digits@3", "digits@1"]
    page = await versions.page(DIGITS, 10, "", where="state = 'archived'", show_inactive=True)
    assert [version.version for version in page.items] == [2]


async def test_versions_of_a_model_that_is_out_of_use_are_found_only_when_asked_for(
    versions: Versions, store: Store, clock: ManualClock, me: Origin
) -> None:
    """M-05, M-06: or when that model is asked for."""
    await Lifecycle(store, clock).deprecate(DIGITS, None, "", me)
    assert await _found(versions, DEFAULT) == ["faces@1"]
    assert await _found(versions) == ["digits@3", "digits@2", "digits@1"]
    gone = await Lifecycle(store, clock).archive(DIGITS, "", me)
    assert await _found(versions, DEFAULT) == ["faces@1"]
    assert [version.version for version in (await versions.page(gone.name, 10, "")).items] == [3, 2, 1]
    every = (await versions.page(DEFAULT, 10, "", show_inactive=True)).items
    assert {version.known_as for version in every} == {"faces", "digits"}


async def test_what_cannot_be_found_in_is_refused(versions: Versions) -> None:
    with pytest.raises(ModelNotFound):
        await versions.page(ModelName("default", "nobody"), 10, "")
    with pytest.raises(ProjectNotFound):
        await versions.page(ProjectName("nobody"), 10, "")
    with pytest.raises(InvalidFilter):
        await versions.page(DIGITS, 10, "", where="nobody = 1")
    with pytest.raises(InvalidOrder):
        await versions.page(DIGITS, 10, "", order_by="version sideways")


async def test_a_forged_token_is_refused(versions: Versions) -> None:
    for scope, ties in ((DIGITS, (-1, 2**40, "x")), (DEFAULT, ("x", "'; DROP TABLE runs", 3))):
        for tie in ties:
            token = encode_token((tie,), query_digest("versions", scope, "", "", False))
            with pytest.raises(InvalidPageToken):
                await versions.page(scope, 10, token)


async def test_a_page_of_whole_versions_ends_early_where_they_hold_much(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: weighed before it is read; a basic view of the same has them all."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 40)
    page = await versions.page(DIGITS, 3, "", view=View.FULL)
    assert [version.version for version in page.items] == [3, 2]
    rest = await versions.page(DIGITS, 3, page.next_page_token, view=View.FULL)
    assert [version.version for version in rest.items] == [1]
    assert version_to_proto(page.items[1]) == version_to_proto(await versions.get(DIGITS, 2))


async def test_a_page_of_versions_ends_early_where_much_is_said_of_them(
    versions: Versions, artifacts: Artifacts, me: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: 256 KiB of user metadata each would be more than one message holds, also in a basic view."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 1000)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    name = ModelName("default", "talkative")
    for _ in range(5):
        await versions.create(name, version_of(files, user_metadata={"notes": "x" * 30_000}), me)
    found, token, pages = [], "", 0
    while token or not pages:
        page = await versions.page(name, 10, token, view=View.BASIC)
        assert len(page.items) <= 2
        found += [version.version for version in page.items]
        token, pages = page.next_page_token, pages + 1
    assert found == [5, 4, 3, 2, 1]

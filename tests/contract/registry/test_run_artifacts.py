"""What runs made, over every store."""

import dataclasses

import pytest

from headwater.names import ArtifactName, DatastoreName, RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.origin import Origin
from services.registry.run_artifacts.errors import (
    InvalidRunArtifactPath,
    RunArtifactAlreadyExists,
    RunArtifactNotFound,
)
from services.registry.run_artifacts.model import Kind, NewRunArtifact, Place
from services.registry.run_artifacts.run_artifacts import RunArtifacts
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Run, RunState
from services.registry.runs.runs import Runs
from tests.contract.registry.builders import DEFAULT, a_run, upload

LAKE = Place(DatastoreName("default", "lake"), "models/one/")


def _made(path: str, place: ArtifactName | Place = LAKE, kind: Kind = Kind.ANYTHING) -> NewRunArtifact:
    return NewRunArtifact(path, kind, place, "")


async def _run(runs: Runs, me: Origin) -> Run:
    return await runs.create(DEFAULT, a_run(), me)


async def test_a_run_has_logs_and_places_in_several_datastores(
    runs: Runs, artifacts: Artifacts, run_artifacts: RunArtifacts, me: Origin
) -> None:
    """M-15, M-35, M-36: also after the run's end, when a log is complete."""
    run = await _run(runs, me)
    await runs.finish(run.name, RunState.SUCCEEDED, "", me)
    log = await upload(artifacts, b"epoch 1", me)
    told = [
        NewRunArtifact("logs/stderr.txt", Kind.LOG, log, "text/plain"),
        NewRunArtifact("logs/stdout.html", Kind.LOG, log, "text/html"),
        _made("model", Place(DatastoreName("default", "other"), "m.onnx"), Kind.MODEL),
    ]
    for each in told:
        await run_artifacts.create(run.name, each, me)
    listing = await run_artifacts.page(run.name, "", 0, "", direct=False)
    assert [made.told for made in listing.items] == told
    assert [made.size_bytes for made in listing.items] == [7, 7, 0]
    assert await run_artifacts.get(listing.items[0].name) == listing.items[0]


async def test_the_same_again_is_no_change_and_something_else_is_refused(
    runs: Runs, run_artifacts: RunArtifacts, me: Origin
) -> None:
    """M-03: a name is unique within its run."""
    run = await _run(runs, me)
    first = await run_artifacts.create(run.name, _made("model"), me)
    assert await run_artifacts.create(run.name, _made("model"), me) == first
    with pytest.raises(RunArtifactAlreadyExists):
        await run_artifacts.create(run.name, dataclasses.replace(_made("model"), kind=Kind.DATA), me)


async def test_what_lies_in_a_folder_is_listed_with_its_folders(
    runs: Runs, run_artifacts: RunArtifacts, me: Origin
) -> None:
    run = await _run(runs, me)
    for path in ("a", "b/c", "b/d/e", "b/d/f", "b-other", "b.txt"):
        await run_artifacts.create(run.name, _made(path), me)

    async def direct(folder: str) -> tuple[list[str], list[str]]:
        listing = await run_artifacts.page(run.name, folder, 0, "", direct=True)
        return [made.path for made in listing.items], listing.folders

    assert await direct("") == (["a", "b-other", "b.txt"], ["b"])
    assert await direct("b") == (["b/c"], ["d"])
    assert await direct("b/d") == (["b/d/e", "b/d/f"], [])
    assert await direct("a") == (["a"], [])
    below = await run_artifacts.page(run.name, "b", 2, "", direct=False)
    rest = await run_artifacts.page(run.name, "b", 2, below.next_page_token, direct=False)
    assert [made.path for made in (*below.items, *rest.items)] == ["b/c", "b/d/e", "b/d/f"]


@pytest.mark.parametrize("path", ["", "..", "a/../b", "/a", "a/", "a//b", "a\0", "é", " a", "a/" + "b" * 256, "a\nb"])
async def test_a_path_stays_in_its_run(path: str, runs: Runs, run_artifacts: RunArtifacts, me: Origin) -> None:
    """Promise 13."""
    with pytest.raises(InvalidRunArtifactPath):
        await run_artifacts.create((await _run(runs, me)).name, _made(path), me)


async def test_nothing_is_a_file_and_a_folder(runs: Runs, run_artifacts: RunArtifacts, me: Origin) -> None:
    run = await _run(runs, me)
    await run_artifacts.create(run.name, _made("a/b"), me)
    for path in ("a", "a/b/c"):
        with pytest.raises(InvalidRunArtifactPath):
            await run_artifacts.create(run.name, _made(path), me)


async def test_what_is_not_there_is_said(runs: Runs, run_artifacts: RunArtifacts, me: Origin) -> None:
    run = await _run(runs, me)
    with pytest.raises(ArtifactNotFound):
        await run_artifacts.create(run.name, _made("a", ArtifactName("default", "0" * 64)), me)
    with pytest.raises(RunNotFound):
        await run_artifacts.create(RunName("default", "nobody"), _made("a"), me)
    made = await run_artifacts.create(run.name, _made("a"), me)
    with pytest.raises(RunArtifactNotFound):
        await run_artifacts.get(dataclasses.replace(made.name, run=(await _run(runs, me)).id))

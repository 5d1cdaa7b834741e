"""``headwater artifact`` as a user types it, over a registry and a dataset service."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chassis import Service
from chassis.auth import Role
from chassis.testing import StartService, TokenFor
from headwater import cli
from services.dataset.__main__ import build as build_dataset
from services.dataset.settings import Settings as DatasetSettings
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.integration.registry.client import Client

Command = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture
async def registry(start_service: StartService) -> Service:
    """A running registry."""
    return await start_service(build, Settings, redis_url="", log_level="ERROR")


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows."""
    lake = tmp_path_factory.mktemp("lake")
    (lake / "rows.csv").write_text("a\n5\n")
    return lake


@pytest_asyncio.fixture
async def dataset(start_service: StartService, lake: Path) -> Service:
    """A running dataset service that may read the lake."""
    return await start_service(build_dataset, DatasetSettings, flight_port=0, datastore_folders=str(lake))


@pytest.fixture
def headwater(
    registry: Service,
    dataset: Service,
    token_for: TokenFor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", dataset.address)
    monkeypatch.setenv("HEADWATER_DATASET_FLIGHT_ADDRESS", f"127.0.0.1:{dataset.flight_port}")
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN))

    async def run(*arguments: str | Path, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, [str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return printed.err + printed.out if refused else printed.out

    return run


async def test_a_file_goes_up_and_comes_down(headwater: Command, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(os.urandom(1000))
    printed = await headwater("artifact", "upload", tmp_path / "a.bin")
    [digest] = [word for word in printed.split() if word.startswith("sha256:")]
    await headwater("artifact", "download", digest, tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()
    assert "ARTIFACT_SOURCE_NOT_ALLOWED" in await headwater("artifact", "import", "s3://lake/a", refused=True)


async def test_what_a_run_made_is_kept_listed_and_fetched(headwater: Command, client: Client, tmp_path: Path) -> None:
    """M-15, M-35, M-36."""
    run = await client.start_run()
    (tmp_path / "out.log").write_text("epoch 1\n")
    await headwater("artifact", "attach", run.name, tmp_path / "out.log", "--path", "logs/driver.log", "--kind", "log")
    await headwater(
        "artifact", "attach", run.name, "--datastore", "lake", "--place", "m/", "--path", "model", "--kind", "model"
    )
    listed = await headwater("artifact", "list", run.name)
    assert "logs/driver.log" in listed
    assert "projects/default/datastores/lake:m/" in listed
    await headwater("artifact", "fetch", run.name, tmp_path / "back")
    assert (tmp_path / "back" / "logs" / "driver.log").read_text() == "epoch 1\n"
    for wrong in (
        ("attach", run.name),
        ("attach", run.name, tmp_path / "out.log", "--datastore", "lake"),
        ("attach", run.name, tmp_path / "out.log", "--kind", "poem"),
        ("attach", run.name, tmp_path / "out.log", "--path", "../x"),
    ):
        assert "INVALID" in await headwater("artifact", *wrong, refused=True)


async def test_what_a_run_made_becomes_a_dataset(
    headwater: Command, client: Client, lake: Path, tmp_path: Path
) -> None:
    """M-16: bytes, whose rows are pushed, and a place, which stays where it is."""
    run = await client.start_run()
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    await headwater("artifact", "attach", run.name, tmp_path / "rows.csv", "--kind", "data")
    assert "datasets/made/versions/v1.0.0" in await headwater("artifact", "promote", run.name, "rows.csv", "made")
    assert "2" in await headwater("dataset", "show", "made@v1.0.0")
    await headwater("datastore", "create", "lake", "--folder", lake)
    await headwater("artifact", "attach", run.name, "--datastore", "lake", "--place", "rows.csv", "--path", "placed")
    assert "datasets/placed/versions/" in await headwater("artifact", "promote", run.name, "placed", "placed")
    assert "RUN_ARTIFACT_NOT_FOUND" in await headwater("artifact", "promote", run.name, "none", "x", refused=True)

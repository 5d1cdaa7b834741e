"""What the web shows of models, over a real registry that holds ordinary and awkward ones (M-80, R-21)."""

import asyncio
import contextlib
import html
import pickle
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from safetensors.numpy import save_file

from chassis.auth import Authenticator, Role
from chassis.testing.databases import Databases
from headwater import model_collections, model_pointers, models
from headwater.client import Connection
from headwater.names import ModelName, ModelVersionName
from tests import platform
from tests.data.models.onnx_files import linear_model
from tests.platform import Platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HTML = {"accept": "text/html"}
SCRIPT = "<script>alert(1)</script>"
MODELS = "/projects/default/models"
DIGITS = f"{MODELS}/digits"
LARGE = f"{MODELS}/large/versions/1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A registry and a gateway that the tests of this module only read from."""
    directory = tmp_path_factory.mktemp("site")
    key = directory / "auth.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    authenticator = Authenticator.from_key_file(key)
    database = databases.create_migrated()

    async with contextlib.AsyncExitStack() as running:

        async def start(build: Any, settings: Any, **overrides: Any) -> Any:
            common = {"port": 0, "admin_port": 0, "auth_key_file": str(key), "redis_url": "", "log_level": "ERROR"}
            stores = {"blobs_url": (directory / "blobs").as_uri(), "database_url": database}
            service = await build(settings(**common, **stores, **overrides))
            running.push_async_callback(service.stop)
            await service.start()
            return service

        def token_for(*roles: Role, subject: str = "tester", ttl_s: float = 3600) -> str:
            return authenticator.mint(subject, roles, ttl_s)

        started = Platform(token_for)
        await platform.start(started, "registry", start, directory)
        await platform.start(started, "gateway", start, directory)
        await asyncio.to_thread(_fill, started, directory)
        yield started
    databases.drop(database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(site: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of somebody who may read."""
    async with _client(site, site.token_for(Role.READER)) as client:
        yield client


def _client(site: Platform, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=site.endpoints.gateway, headers={**HTML, "authorization": f"Bearer {token}"}, follow_redirects=True
    )


def _fill(site: Platform, directory: Path) -> None:
    connection = site.connect()
    try:
        _ordinary(connection, directory)
        _awkward(connection, directory)
    finally:
        connection.close()


def _ordinary(connection: Connection, directory: Path) -> None:
    digits, file = ModelName("default", "digits"), directory / "model.onnx"
    for inputs, rate in ((4, "0.1"), (5, "0.01")):
        file.write_bytes(linear_model(inputs, 3))
        models.register(
            connection,
            digits,
            {"model.onnx": file},
            semantic_version=f"v{inputs}.0.0",
            architecture="linear",
            description=f"With {inputs} inputs",
            user_metadata={"author": "Ada", "accuracy": "0.92", "hyperparameters": f'{{"lr": {rate}}}'},
            tags=["vision"],
        )
    first, second = (ModelVersionName("default", "digits", number) for number in ("1", "2"))
    evidence = [model_pointers.evidence("report=https://example.com/report")]
    models.promote(connection, first, models.stage("production"), comment="It is better", evidence=evidence)
    models.promote(connection, second, models.stage("staging"))
    model_pointers.set_alias(connection, digits, "champion", "1")
    model_collections.describe(
        connection, digits, display_name=f"Digits {SCRIPT}", description=SCRIPT, tags={"team": f"vision {SCRIPT}"}
    )


def _awkward(connection: Connection, directory: Path) -> None:
    save_file({f"layer.{number:03d}": np.zeros(2, np.float32) for number in range(250)}, directory / "w.safetensors")
    models.register(
        connection,
        ModelName("default", "large"),
        {"w.safetensors": directory / "w.safetensors"},
        annotations={SCRIPT: SCRIPT},
        source=SCRIPT,
    )
    (directory / "model.pkl").write_bytes(pickle.dumps(print))
    models.register(connection, ModelName("default", "unsafe"), {"model.pkl": directory / "model.pkl"})
    model_collections.create(connection, ModelName("default", "empty"))
    old = model_collections.create(connection, ModelName("default", "old"))
    models.deprecate(connection, ModelName("default", "old"), ModelName("default", "digits"))
    archived = model_collections.create(connection, ModelName("default", "gone"))
    models.archive(connection, ModelName("default", "gone"))
    assert old.uid != archived.uid


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


async def test_every_page_of_models_leads_only_to_pages_that_there_are(reader: httpx.AsyncClient) -> None:
    seen, waiting = set(), [f"{MODELS}?all=1"]
    while waiting:
        path = waiting.pop()
        page = await reader.get(path)
        assert page.status_code == 200, path
        seen.add(path)
        links = {html.unescape(link) for link in re.findall(r'href="([^"]+)"', page.text)}
        new = {str(httpx.URL(path).join(link)) for link in links} - {"/", *seen, *waiting}
        waiting += sorted(link for link in new if "/models" in link and "page=" not in link)
    assert {MODELS, DIGITS, f"{DIGITS}/versions/1", f"{MODELS}/empty", LARGE} <= seen


async def test_models_are_listed_with_what_points_where(reader: httpx.AsyncClient) -> None:
    """M-05, M-06: what is out of use is not in the default list."""
    said = text_of(await reader.get("/models"))
    assert f"Digits {SCRIPT} v5.0.0 production 1 staging 2 @champion 1 team=vision {SCRIPT}" in said
    assert "deprecated" not in said
    every = text_of(await reader.get(MODELS, params={"all": "1"}))
    assert "old deprecated" in every
    assert "gone archived" in every


async def test_models_are_searched_in_the_language_of_the_registry(reader: httpx.AsyncClient) -> None:
    found = text_of(await reader.get(MODELS, params={"filter": "aliases.champion IS NOT NULL"}))
    assert "Digits" in found
    assert "large" not in found
    assert "No model is so." in text_of(await reader.get(MODELS, params={"filter": "name = 'nobody'"}))
    refused = text_of(await reader.get(MODELS, params={"filter": f"nome = '{SCRIPT}'"}))
    assert "is name meant?" in refused
    ordered = (await reader.get(MODELS, params={"order_by": "name desc"})).text
    assert ordered.index("/models/unsafe") < ordered.index("/models/digits")


async def test_a_model_shows_its_versions_and_who_moved_them(reader: httpx.AsyncClient) -> None:
    """R-21."""
    said = text_of(await reader.get(DIGITS))
    assert re.search(r"2 v5\.0\.0 staging onnx", said)
    assert re.search(r"1 v4\.0\.0 production @champion onnx 12", said)
    assert "version 1 development production tester It is better report https://example.com/report" in said
    assert "alias champion nothing version 1 tester" in said
    assert "There is no version yet." in text_of(await reader.get(f"{MODELS}/empty"))
    assert "Use digits instead." in text_of(await reader.get(f"{MODELS}/old"))


async def test_a_version_shows_what_its_files_hold_and_what_is_missing(reader: httpx.AsyncClient) -> None:
    """R-18, R-26."""
    said = text_of(await reader.get(f"{DIGITS}/versions/2"))
    for part in (
        "digits 2 (v5.0.0) staging",
        "15 parameters",
        "Breaks callers of the version before",
        "Architecture linear",
        "Inputs Name Type Shape x FP32 any × 5",
        "lr 0.01",
        "author Ada",
        "Not said of it: dataset_version",
        "model.onnx onnx",
        '"model_id": "digits"',
    ):
        assert part in said, part
    assert text_of(await reader.get(f"{DIGITS}/versions/v5.0.0")).count("v5.0.0") > 1
    assert "Never served" in text_of(await reader.get(f"{MODELS}/unsafe/versions/1"))


async def test_tensors_come_in_pages_and_can_be_searched(reader: httpx.AsyncClient) -> None:
    names: list[str] = []
    for number in (1, 2, 3):
        page = await reader.get(LARGE, params={"page": number})
        assert f"Page {number} of 3" in page.text
        names += re.findall(r"<bdi>(layer\.\d+)", page.text)
    assert names == [f"layer.{number:03d}" for number in range(250)]
    found = await reader.get(LARGE, params={"tensors": "LAYER.24"})
    assert re.findall(r"<bdi>(layer\.\d+)", found.text) == [f"layer.24{number}" for number in range(10)]
    assert "0 found" in text_of(await reader.get(LARGE, params={"tensors": SCRIPT}))


@pytest.mark.parametrize(("asked", "shown"), [("0", 1), ("-1", 1), ("x", 1), ("٣", 1), ("9" * 400, 1), ("99999", 3)])
async def test_a_page_number_that_there_is_not_shows_the_nearest(
    reader: httpx.AsyncClient, asked: str, shown: int
) -> None:
    assert f"Page {shown} of 3" in text_of(await reader.get(LARGE, params={"page": asked}))


async def test_versions_are_compared_side_by_side(reader: httpx.AsyncClient) -> None:
    """M-80: only what differs, unless everything is asked for."""
    page = await reader.get(f"{DIGITS}/compare", params={"versions": "1,2"})
    said = text_of(page)
    assert "parameters 12 15 (+3)" in said
    assert "callers break" in said
    assert "hyperparameter lr 0.1 0.01 (-0.09)" in said
    assert "architecture" not in said
    assert "architecture linear linear" in text_of(await reader.get(f"{page.url}&all=1"))
    ticked = await reader.get(f"{DIGITS}/compare", params=[("versions", "2"), ("versions", "1")])
    assert "parameters 12 15 (+3)" in text_of(ticked)  # the older one first
    assert "The versions do not differ." in text_of(await reader.get(f"{DIGITS}/compare?versions=1,1"))


@pytest.mark.parametrize("versions", ["", "1", "1,9", "1,x", "1,..", ",".join(["1"] * 11), SCRIPT])
async def test_what_cannot_be_compared_is_explained(reader: httpx.AsyncClient, versions: str) -> None:
    page = await reader.get(f"{DIGITS}/compare", params={"versions": versions})
    assert page.status_code in (400, 404)
    assert "<script" not in page.text


@pytest.mark.parametrize(
    "path",
    [MODELS, DIGITS, LARGE, f"{DIGITS}/versions/1", f"{MODELS}?filter={SCRIPT}", f"{LARGE}?tensors={SCRIPT}"],
)
async def test_what_people_wrote_is_never_markup(reader: httpx.AsyncClient, path: str) -> None:
    """Promise 13."""
    page = await reader.get(path)
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    if path != f"{DIGITS}/versions/1":
        assert SCRIPT in html.unescape(page.text)


@pytest.mark.parametrize("path", ["/models", MODELS, DIGITS, LARGE, f"{DIGITS}/compare?versions=1,2"])
async def test_without_a_session_nothing_is_shown(site: Platform, path: str) -> None:
    """Promise 14."""
    async with httpx.AsyncClient(base_url=site.endpoints.gateway) as nobody:
        page = await nobody.get(path, headers=HTML)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/login?next=/")
    async with _client(site, site.token_for()) as without_rights:
        assert (await without_rights.get(path)).status_code == 403

"""What the web shows of models, over a real registry that holds ordinary and awkward ones (M-80, R-21)."""

import asyncio
import contextlib
import html
import json
import pickle
import re
import secrets
import tarfile
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
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.names import ModelName, ModelVersionName, ProjectName
from headwater.registry.v1 import projects_pb2, projects_pb2_grpc
from headwater.transforms import Pipeline
from tests import platform
from tests.data.models.onnx_files import linear_model
from tests.integration.inference.pipelines import document
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def many(site: Platform) -> str:
    """The path of a project with 102 models."""

    def fill() -> None:
        with contextlib.closing(site.connect()) as connection:
            projects = projects_pb2_grpc.ProjectServiceStub(connection.channel("registry"))
            projects.CreateProject(projects_pb2.CreateProjectRequest(project_id="many"))
            for number in range(102):
                model_collections.create(connection, ModelName("many", f"m{number:03d}"))

    await asyncio.to_thread(fill)
    return "/projects/many/models"


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
        user_metadata={"hyperparameters": '{"schedule": {"warmup": 600, "steps": [1, 2.5]}}'},
        preprocessing=artifact_pb2.Preprocessing(document=document()),
    )
    report = model_pointers.evidence("report=https://example.com/report")
    for number in range(23):
        alias = f"{'long' * 60 if number else 'first'}{number}"
        model_pointers.set_alias(connection, ModelName("default", "large"), alias, "1", evidence=[report] * 7)
    (directory / "model.pkl").write_bytes(pickle.dumps(print))
    _tar(directory / "both.tar", directory, ["model.onnx", "w.safetensors"])
    unsafe = {"model.pkl": directory / "model.pkl", "both.tar": directory / "both.tar"}
    models.register(connection, ModelName("default", "unsafe"), unsafe)
    model_collections.create(connection, ModelName("default", "empty"))
    old = model_collections.create(connection, ModelName("default", "old"))
    models.deprecate(connection, ModelName("default", "old"), ModelName("default", "digits"))
    archived = model_collections.create(connection, ModelName("default", "gone"))
    models.archive(connection, ModelName("default", "gone"))
    assert old.uid != archived.uid


def _tar(archive: Path, directory: Path, names: list[str]) -> None:
    with tarfile.open(archive, "w") as members:
        for name in names:
            members.add(directory / name, name)


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def models_named(connection: Connection, model_id: str) -> str:
    """The resource name of a model that was called so, whatever its state."""
    every = model_collections.list_(connection, ProjectName("default"), show_inactive=True)
    return next(model.name for model in every if model.model_id == model_id)


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
    ordered = (await reader.get(MODELS, params={"order_by": "name desc"})).text
    assert ordered.index("/models/unsafe") < ordered.index("/models/digits")


@pytest.mark.parametrize("path", [MODELS, DIGITS])
async def test_a_filter_that_cannot_be_read_is_shown_with_what_is_wrong(reader: httpx.AsyncClient, path: str) -> None:
    page = await reader.get(path, params={"filter": f"nome = '{SCRIPT}'"})
    assert page.status_code == 400
    assert "The filter cannot be read at character 1: there is no nome; is name meant?<" in html.unescape(page.text)
    assert f'value="nome = &#39;{html.escape(SCRIPT)}&#39;"' in page.text
    assert "No model is there yet" not in page.text
    assert (await reader.get(path, params={"page": "nonsense"})).status_code == 400


async def test_many_models_come_in_pages(reader: httpx.AsyncClient, many: str) -> None:
    first = await reader.get(many)
    (more,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    second = await reader.get(html.unescape(str(httpx.URL(many).join(html.unescape(more)))))
    named = [re.findall(r'href="/projects/many/models/(m\d+)"', page.text) for page in (first, second)]
    assert [len(names) for names in named] == [100, 2]
    assert sorted(named[0] + named[1]) == [f"m{number:03d}" for number in range(102)]
    assert 'rel="next"' not in second.text
    assert 'rel="first"' in second.text


async def test_versions_are_searched_in_the_language_of_the_registry(reader: httpx.AsyncClient) -> None:
    found = text_of(await reader.get(DIGITS, params={"filter": "stage = 'production'"}))
    assert "v4.0.0 production" in found
    assert "With 5 inputs" not in found
    assert "No version is so." in text_of(await reader.get(DIGITS, params={"filter": "version > 2"}))


async def test_a_model_shows_its_versions_and_who_moved_them(reader: httpx.AsyncClient) -> None:
    """R-21."""
    said = text_of(await reader.get(DIGITS))
    assert re.search(r"2 v5\.0\.0 staging onnx", said)
    assert re.search(r"1 v4\.0\.0 production @champion onnx 12", said)
    assert "version 1 development production tester It is better report https://example.com/report" in said
    assert "alias champion nothing version 1 tester" in said
    assert "There is no version yet." in text_of(await reader.get(f"{MODELS}/empty"))
    assert "Use digits instead." in text_of(await reader.get(f"{MODELS}/old"))


async def test_what_there_is_much_of_is_shown_in_part_and_counted(reader: httpx.AsyncClient) -> None:
    """Aliases, evidence of moves."""
    page = await reader.get(f"{MODELS}/large")
    said = text_of(page)
    assert said.count("@first0") == 2  # beside the model, and beside its version
    assert "longlong" * 10 not in re.sub(r"alias long.*", "", said)
    assert said.count("… and 3 more") == 2
    assert "https://example.com/report … and 2 more" in said
    assert "… and 3 more" in text_of(await reader.get(MODELS))
    assert "… and 3 more" in text_of(await reader.get(LARGE))


async def test_commands_on_pages_name_the_project_and_are_those_that_would_work(
    reader: httpx.AsyncClient, many: str, site: Platform
) -> None:
    assert "headwater model register m000 FILE --project many makes one" in text_of(await reader.get(f"{many}/m000"))
    assert "headwater model register empty FILE makes one" in text_of(await reader.get(f"{MODELS}/empty"))
    with contextlib.closing(site.connect()) as connection:
        gone = await asyncio.to_thread(models_named, connection, "gone")
    assert "headwater model" not in text_of(await reader.get(f"/{gone}"))


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
        "What is in model.onnx",
        "Operators (1) MatMul × 1",
        "Operator sets ai.onnx 17",
        "What can be made of it What By Condition served on headwater ONNX Runtime served on triton ONNX Runtime",
        "converted to tensorrt trtexec",
    ):
        assert part in said, part
    assert text_of(await reader.get(f"{DIGITS}/versions/v5.0.0")).count("v5.0.0") > 1
    assert re.search(r'"warmup": 600[,}]', text_of(await reader.get(LARGE)))  # as it was said, not 600.0


async def test_a_version_shows_what_prepares_its_inputs(reader: httpx.AsyncClient) -> None:
    """N-04."""
    digest = Pipeline.parse(document()).digest
    assert f"Where it comes from preprocessing {digest}" in text_of(await reader.get(LARGE))
    assert "preprocessing sha256:" not in text_of(await reader.get(f"{DIGITS}/versions/2"))


async def test_a_version_that_is_unsafe_says_why_and_what_it_would_import(reader: httpx.AsyncClient) -> None:
    page = await reader.get(f"{MODELS}/unsafe/versions/1")
    said = text_of(page)
    assert "Not safe to load, and never served: model.pkl" in said
    assert page.text.index('class="notice failure" role="alert"') < page.text.index('id="files"')
    assert re.search(r"What is in model\.pkl .*Loading it would import builtins\.print", said)
    assert "both.tar/w.safetensors safetensors" in said
    assert "What is in both.tar/model.onnx" in said
    assert "unsafe" in text_of(await reader.get(f"{MODELS}/unsafe"))
    assert "What can be made of it" not in said


async def test_the_document_of_a_version_is_json_as_people_exchange_it(reader: httpx.AsyncClient) -> None:
    """R-18."""
    assert f'href="{DIGITS}/versions/2/document"' in (await reader.get(f"{DIGITS}/versions/2")).text
    answer = await reader.get(f"{DIGITS}/versions/2/document")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.json()["model_id"], answer.json()["version"]) == ("digits", "v5.0.0")
    assert SCRIPT in json.dumps(
        (await reader.get(f"{LARGE}/document")).json()
    )  # a program reads it, no browser runs it


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


async def test_versions_of_several_models_are_compared_by_whatever_leads_to_them(reader: httpx.AsyncClient) -> None:
    pointed = text_of(await reader.get(f"{DIGITS}/compare", params={"versions": "production, v5.0.0, @champion"}))
    assert "1 v4.0.0 production 2 v5.0.0 staging 1 v4.0.0 production" in pointed
    page = await reader.get(f"{DIGITS}/compare", params={"versions": "@champion,large@1"})
    said = text_of(page)
    assert "digits 1 v4.0.0 production large 1" in said
    assert re.search(r"parameters 12 500 \(\+488\)", said)
    assert f'href="{LARGE}"' in page.text
    full = await reader.get(f"{DIGITS}/compare", params={"versions": f"1,{LARGE[1:]}"})
    assert "digits 1 v4.0.0 production large 1" in text_of(full)


@pytest.mark.parametrize("versions", ["", "1", "1,9", "1,x", "1,..", "1,@", "1,old@1", ",".join(["1"] * 11), SCRIPT])
async def test_what_cannot_be_compared_is_explained(reader: httpx.AsyncClient, versions: str) -> None:
    page = await reader.get(f"{DIGITS}/compare", params={"versions": versions})
    assert page.status_code in (400, 404)
    assert "<script" not in page.text


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"{MODELS}/nothing", 404, "MODEL_NOT_FOUND"),
        (f"{DIGITS}/versions/9", 404, "MODEL_VERSION_NOT_FOUND"),
        (f"{DIGITS}/versions/9/document", 404, "MODEL_VERSION_NOT_FOUND"),
        (f"{DIGITS}/versions/first", 400, "INVALID_NAME"),
        (f"{MODELS}/{'a' * 300}", 400, "INVALID_NAME"),
        (f"{MODELS}/a%00b", 400, "INVALID_NAME"),
        (f"{MODELS}/%3Cscript%3Ealert(1)", 400, "INVALID_NAME"),
    ],
)
async def test_what_there_is_not_is_a_page_for_browsers_and_json_for_programs(
    reader: httpx.AsyncClient, path: str, status: int, reason: str
) -> None:
    """Promise 16."""
    page = await reader.get(path)
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert reason in page.text
    assert "<script" not in page.text
    answer = await reader.get(path, headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


async def test_short_addresses_lead_to_the_default_project(reader: httpx.AsyncClient) -> None:
    page = await reader.get("/models/digits/compare?versions=1,2")
    assert str(page.url).endswith(f"{DIGITS}/compare?versions=1,2")
    away = await reader.get("/models//example.com", follow_redirects=False)
    assert away.headers["location"].startswith("/projects/default/models/")


@pytest.mark.parametrize(
    "path",
    [
        MODELS,
        DIGITS,
        LARGE,
        f"{DIGITS}/versions/1",
        f"{MODELS}?filter={SCRIPT}",
        f"{LARGE}?tensors={SCRIPT}",
        f"{DIGITS}/compare?versions={SCRIPT}",
    ],
)
async def test_what_people_wrote_is_never_markup(reader: httpx.AsyncClient, path: str) -> None:
    """Promise 13."""
    page = await reader.get(path)
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    if path != f"{DIGITS}/versions/1":
        assert SCRIPT in html.unescape(page.text)


@pytest.mark.parametrize(
    "path", ["/models", MODELS, DIGITS, LARGE, f"{LARGE}/document", f"{DIGITS}/compare?versions=1,2"]
)
async def test_without_a_session_nothing_is_shown(site: Platform, path: str) -> None:
    """Promise 14."""
    async with httpx.AsyncClient(base_url=site.endpoints.gateway) as nobody:
        page = await nobody.get(path, headers=HTML)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/login?next=/")
    async with _client(site, site.token_for()) as without_rights:
        assert (await without_rights.get(path)).status_code == 403

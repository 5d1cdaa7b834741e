"""What the web shows of datasets, over a real dataset service that holds ordinary and awkward ones (M-26, R-33)."""

import asyncio
import contextlib
import html
import io
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from PIL import Image

from chassis.auth import Authenticator, Role
from chassis.embedded import EmbeddedValkey
from chassis.testing.databases import Databases
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2, definitions_pb2
from headwater.datasets import checkpoints, datastores, history, profiles, views
from tests import platform
from tests.platform import Platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HTML = {"accept": "text/html"}
SCRIPT = "<script>alert(1)</script>"
DATASETS = "/projects/default/datasets"
ANIMALS = f"{DATASETS}/animals"
VERSION = f"{ANIMALS}/versions/v1.1.0"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    databases: Databases, valkey_server: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """A dataset service and a gateway that the tests of this module only read from."""
    directory = tmp_path_factory.mktemp("site")
    key, lake = directory / "auth.key", directory / "lake"
    lake.mkdir()
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    authenticator = Authenticator.from_key_file(key)
    database = databases.create_migrated()

    async with contextlib.AsyncExitStack() as running:

        async def start(build: Any, settings: Any, **overrides: Any) -> Any:
            service = await build(
                settings(
                    port=0,
                    admin_port=0,
                    auth_key_file=str(key),
                    blobs_url=(directory / "blobs").as_uri(),
                    database_url=database,
                    redis_url=valkey_server.url,
                    **overrides,
                )
            )
            running.push_async_callback(service.stop)
            await service.start()
            return service

        def token_for(*roles: Role, subject: str = "tester", ttl_s: float = 3600) -> str:
            return authenticator.mint(subject, roles, ttl_s)

        started = Platform(token_for)
        await platform.start(
            started, "dataset", start, directory, datastore_folders=str(lake), checkpoint_poll_interval_s=0.1
        )
        await platform.start(started, "gateway", start, directory)
        await asyncio.to_thread(_fill, started, lake)
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


def _fill(site: Platform, lake: Path) -> None:
    connection = site.connect()
    try:
        _ordinary(connection)
        _awkward(connection)
        _elsewhere(connection, lake)
    finally:
        connection.close()


def _ordinary(connection: Connection) -> None:
    train, test = _animals(40), _animals(12)
    datasets.push(connection, "animals", datasets.Tables({"train": train, "test": test}), message="From the summer")
    datasets.push(connection, "animals", datasets.Tables({"train": train.slice(4), "test": test}), message=SCRIPT)
    datasets.update(connection, "animals", display_name=f"Animals {SCRIPT}", tags={"team": "vision"})
    history.create_branch(connection, "animals", "relabel", at="v1.0.0")
    history.create_tag(connection, "animals", "paper", at="v1.0.0", message="as printed")
    history.deprecate(connection, "animals@v1.0.0", "blurred photographs")
    views.create(connection, "animals", "cats", "label = 'cat'", SCRIPT)
    profiles.make(connection, "animals@v1.1.0", view="cats")
    profiles.make(connection, "animals@v1.1.0")


def _animals(count: int) -> pa.Table:
    return pa.table(
        {
            "image": [_picture(10 + number, "L" if number % 4 == 0 else "RGB") for number in range(count)],
            "label": ["cat" if number % 4 else "dog" for number in range(count)],
            "weight": [
                None if number % 10 == 0 else float("nan") if number % 10 == 1 else number for number in range(count)
            ],
            "taken": pa.array(range(count), pa.timestamp("s")).cast(pa.timestamp("s")),
            SCRIPT: [f"{SCRIPT}{number % 3}" for number in range(count)],
        }
    )


def _picture(width: int, mode: str) -> bytes:
    data = io.BytesIO()
    Image.new(mode, (width, 7)).save(data, "PNG")
    return data.getvalue()


def _awkward(connection: Connection) -> None:
    wide = pa.table({f"feature_{number:03d}": [float(number), number + 1.0] for number in range(500)})
    datasets.push(connection, "wide", datasets.Tables({"train": wide, "test": wide}))
    profiles.make(connection, "wide")
    empty = pa.table({"größe & <i>": pa.array([], pa.float64()), "nix": pa.nulls(0)})
    datasets.push(connection, "empty", datasets.Tables({"train": empty}))
    profiles.make(connection, "empty")
    datasets.push(connection, "old", datasets.Tables({"train": pa.table({"secret": ["whisper"]})}))
    history.archive(connection, "old@v1.0.0", "Consent was withdrawn")
    source = "projects/default/datasets/wide/versions/v1.0.0"
    flow = definitions_pb2.Dataflow(spec_json=json.dumps({"keep": SCRIPT, "more": "x" * 6000}), inputs=[source])
    datasets.push(connection, "narrow", datasets.Tables({"train": wide.select([0])}), dataflow=flow)


def _elsewhere(connection: Connection, lake: Path) -> None:
    pq.write_table(pa.table({"price": [1.5, 2.5]}), lake / "orders.parquet")
    datastores.create(connection, "lake", datastores_pb2.LocalFolder(path=str(lake)))
    datastores.link(connection, "orders", "lake", path="orders.parquet", message="live")
    datastores.link(connection, "orders", "lake", path="", message="all of it")
    checkpoints.wait(
        connection, checkpoints.create(connection, "orders@v1.1.0", "monday", materialize=True).name, interval_s=0.05
    )


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def card(page: httpx.Response, column: str) -> str:
    """The part of a profile's page that is about one column."""
    cards = re.findall(r"<article.*?</article>", page.text, re.DOTALL)
    (found,) = [each for each in cards if f"<h3><bdi>{html.escape(column)}</bdi></h3>" in each]
    return str(found)


async def test_every_page_of_a_project_leads_only_to_pages_that_there_are(reader: httpx.AsyncClient) -> None:
    seen, waiting = set(), [DATASETS]
    while waiting:
        path = waiting.pop()
        page = await reader.get(path)
        assert page.status_code == 200, path
        seen.add(path)
        links = {html.unescape(link) for link in re.findall(r'href="([^"]+)"', page.text)}
        new = {str(httpx.URL(path).join(link)) for link in links} - {*seen, *waiting}
        waiting += sorted(link for link in new if "/datasets" in link and "page=" not in link)
    assert {ANIMALS, VERSION, f"{DATASETS}/orders/versions/v1.0.0"} <= seen
    assert sum("/profiles/" in path and "?" not in path for path in seen) == 5


async def test_a_dataset_shows_its_versions_branches_tags_and_commits(reader: httpx.AsyncClient) -> None:
    said = text_of(await reader.get(ANIMALS))
    assert "v1.1.0 active 48" in said
    assert "v1.0.0 deprecated 52" in said
    assert "blurred photographs" in said
    assert re.search(r"main [0-9a-f]{12} ", said)
    assert re.search(r"relabel [0-9a-f]{12} ", said)
    assert re.search(r"paper [0-9a-f]{12} as printed", said)
    assert re.search(r"Newest commits on main .* From the summer", said)
    assert "team=vision" in said


async def test_a_version_shows_splits_columns_views_and_first_rows(reader: httpx.AsyncClient) -> None:
    page = await reader.get(VERSION)
    said = text_of(page)
    assert "48 rows" in said
    assert "train 36 75 %" in said
    assert "test 12 25 %" in said
    assert "cats label = 'cat'" in said
    assert "taken timestamp[s]" in said
    first = re.search(r'id="rows-train".*?</tr>\s*<tr>(.*?)</tr>', page.text, re.DOTALL)
    assert first is not None
    cells = [" ".join(html.unescape(re.sub("<[^>]*>", " ", cell)).split()) for cell in first[1].split("</td>")]
    assert cells[1:6] == ["dog", "4", "1970-01-01 00:00:04", f"{SCRIPT}1", ""]


async def test_a_profile_plots_numbers_classes_and_images(reader: httpx.AsyncClient) -> None:
    page = await reader.get(f"{VERSION}/profile")
    weight, label, image = (card(page, column) for column in ("weight", "label", "image"))
    assert "3 null (8.3 %)" in weight
    assert "3 NaN (8.3 %)" in weight
    assert 'aria-label="Histogram of weight: 30 values from 4 to 39' in weight
    assert weight.count("<title>") > 5
    assert ">median</dt><dd>" in weight
    assert re.findall(r'<td class="figure">([^<]*)', label) == ["27", "75 %", "9", "25 %"]
    assert "2 distinct" in label
    for part in ("Colour spaces", "RGB", "Formats", "PNG", "Widths of images, in pixels", "Heights of images"):
        assert part in image
    assert "Histogram of widths of image: 36 values from 14 to 49" in image


async def test_choosing_a_split_keeps_what_was_searched_for(reader: httpx.AsyncClient) -> None:
    path = (await reader.get(f"{VERSION}/profile")).url.path
    chosen = await reader.get(path, params={"split": "test"})
    assert re.search(r'aria-current="page"><b>test</b> <span>12 rows', chosen.text)
    assert "12 values" in card(chosen, "label")
    other = await reader.get(path, params={"split": "no-such-split"})
    assert re.search(r'aria-current="page"><b>train</b> <span>36 rows', other.text)  # the largest
    wide = (await reader.get(f"{DATASETS}/wide/versions/v1.0.0/profile")).url.path
    found = await reader.get(wide, params={"columns": "feature_1", "page": 2, "split": "train"})
    assert 'href="?split=test&amp;columns=feature_1&amp;page=2"' in found.text


async def test_five_hundred_columns_come_in_pages_and_can_be_searched(reader: httpx.AsyncClient) -> None:
    wide = (await reader.get(f"{DATASETS}/wide/versions/v1.0.0/profile")).url.path
    names: list[str] = []
    for number in range(1, 10):
        page = await reader.get(wide, params={"page": number})
        assert f"Page {number} of 9" in page.text
        names += re.findall(r"<h3><bdi>([^<]*)", page.text)
    assert names == [f"feature_{number:03d}" for number in range(500)]
    found = await reader.get(wide, params={"columns": "FEATURE_49"})
    assert re.findall(r"<h3><bdi>([^<]*)", found.text) == [f"feature_49{number}" for number in range(10)]
    assert "No column has that in its name." in (await reader.get(wide, params={"columns": SCRIPT})).text


@pytest.mark.parametrize(
    ("asked", "shown"), [("0", 1), ("-1", 1), ("x", 1), ("٣", 1), ("1e1", 1), ("9" * 400, 1), ("99999", 9), ("", 1)]
)
async def test_a_page_number_that_there_is_not_shows_the_nearest(
    reader: httpx.AsyncClient, asked: str, shown: int
) -> None:
    wide = (await reader.get(f"{DATASETS}/wide/versions/v1.0.0/profile")).url.path
    assert f"Page {shown} of 9" in text_of(await reader.get(wide, params={"page": asked}))


async def test_a_dataset_without_rows_has_pages_too(reader: httpx.AsyncClient) -> None:
    assert "The split has no rows." in text_of(await reader.get(f"{DATASETS}/empty/versions/v1.0.0"))
    said = text_of(await reader.get(f"{DATASETS}/empty/versions/v1.0.0/profile"))
    assert "größe & <i> double 0 values" in said


async def test_an_archived_version_says_why_and_shows_no_row(reader: httpx.AsyncClient) -> None:
    """M-20: its rows may not be read; what it was remains to be seen."""
    said = text_of(await reader.get(f"{DATASETS}/old/versions/v1.0.0"))
    assert "archived Consent was withdrawn" in said
    assert "secret string" in said
    assert "whisper" not in said


async def test_a_version_whose_rows_are_elsewhere_says_where_until_there_is_a_copy(reader: httpx.AsyncClient) -> None:
    """M-18, M-26."""
    said = text_of(await reader.get(f"{DATASETS}/orders/versions/v1.0.0"))
    assert "Read from lake: orders.parquet" in said
    assert "No rows are stored: they are read where they are." in said
    assert "0 rows" not in said
    said = text_of(await reader.get(f"{DATASETS}/orders/versions/v1.1.0"))
    assert "Read from lake: /" in said
    assert "the copy that the checkpoint monday made" in said
    assert "monday ready yes 2" in said
    assert "price 1.5 2.5" in said
    assert "price double" in said


async def test_a_version_that_a_transformation_made_says_which_and_of_what(reader: httpx.AsyncClient) -> None:
    page = await reader.get(f"{DATASETS}/narrow/versions/v1.0.0")
    said = f'Transformation projects/default/datasets/wide/versions/v1.0.0 {{"keep": "{SCRIPT}", "more": "xxx'
    assert said in text_of(page)
    assert "<script" not in page.text
    assert "x…" in page.text  # a specification can be a megabyte
    assert "Transformation" not in (await reader.get(VERSION)).text


async def test_a_version_without_a_profile_is_shown_instead_of_one(reader: httpx.AsyncClient) -> None:
    page = await reader.get(f"{ANIMALS}/versions/v1.0.0/profile")
    assert page.url.path == f"{ANIMALS}/versions/v1.0.0"
    assert "headwater dataset profile animals@v1.0.0 makes one" in text_of(page)


@pytest.mark.parametrize("path", [DATASETS, ANIMALS, VERSION, f"{VERSION}/profile", f"{DATASETS}?x={SCRIPT}"])
async def test_what_people_wrote_is_never_markup(reader: httpx.AsyncClient, path: str) -> None:
    """Promise 13."""
    page = await reader.get(path)
    assert SCRIPT in html.unescape(page.text)
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", [DATASETS, ANIMALS, VERSION, f"{VERSION}/profile", f"{VERSION}/profiles/x"])
async def test_without_a_session_nothing_is_shown(site: Platform, path: str) -> None:
    """Promise 14."""
    async with httpx.AsyncClient(base_url=site.endpoints.gateway) as nobody:
        page = await nobody.get(path, headers=HTML)
        assert (page.status_code, page.headers["location"]) == (303, f"/login?next={path}")
        refused = await nobody.get(f"/api/v1{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
    async with _client(site, site.token_for()) as without_rights:
        page = await without_rights.get(path)
        assert page.status_code == 403
        assert "animals</" not in page.text


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"{DATASETS}/nothing", 404, "DATASET_NOT_FOUND"),
        (f"{ANIMALS}/versions/v9.9.9", 404, "DATASET_VERSION_NOT_FOUND"),
        (f"{VERSION}/profiles/0192f0c4-0000-7000-8000-000000000000", 404, "PROFILE_NOT_FOUND"),
        (f"{ANIMALS}/versions/first", 400, "INVALID_NAME"),
        (f"{DATASETS}/{'a' * 300}", 400, "INVALID_NAME"),
        (f"{DATASETS}/a%00b", 400, "INVALID_NAME"),
        (f"{DATASETS}/%3Cscript%3Ealert(1)", 400, "INVALID_NAME"),
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
    answer = await reader.get(f"/api/v1{path}", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


async def test_resources_are_json_under_their_names(reader: httpx.AsyncClient) -> None:
    async def get(path: str) -> dict[str, Any]:
        answer = await reader.get(f"/api/v1{path}")
        assert answer.headers["content-type"] == "application/json"
        return dict(answer.json())

    assert (await get(ANIMALS))["latest_version"] == "v1.1.0"
    version = await get(VERSION)
    assert (version["name"], version["row_count"]) == (VERSION[1:], "48")
    assert [view["filter"] for view in (await get(f"{VERSION}/views"))["views"]] == ["label = 'cat'"]
    (copy,) = (await get(f"{DATASETS}/orders/versions/v1.1.0/checkpoints"))["checkpoints"]
    assert await get(f"/{copy['name']}") == copy
    assert (copy["state"], copy["splits"][0]["row_count"]) == ("STATE_READY", "2")
    listed = await get(f"{VERSION}/profiles")
    profile = await get(f"/{listed['profiles'][0]['name']}")
    by_name = {column["column"]: column for column in profile["splits"][-1]["columns"]}
    assert by_name["weight"]["null_count"] == "3"
    assert by_name["label"]["top_values"][0] == {"value": "cat", "count": "27"}


async def test_lists_are_json_a_page_at_a_time(reader: httpx.AsyncClient) -> None:
    names: list[str] = []
    token = ""
    while True:
        page = (await reader.get(f"/api/v1{DATASETS}", params={"page_size": "2", "page_token": token})).json()
        assert len(page["datasets"]) <= 2
        names += [dataset["name"].rpartition("/")[2] for dataset in page["datasets"]]
        token = page["next_page_token"]
        if not token:
            break
    assert sorted(names) == ["animals", "empty", "narrow", "old", "orders", "wide"]


@pytest.mark.parametrize("query", ["page_size=-1", "page_size=x", "page_size=%D9%A3", "page_token=nonsense"])
async def test_a_page_that_cannot_be_given_is_refused(reader: httpx.AsyncClient, query: str) -> None:
    answer = await reader.get(f"/api/v1{ANIMALS}/versions?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")

"""What the web shows of serving, over a real registry and inference service (N-10, M-83…M-88, R-23)."""

import asyncio
import contextlib
import html
import os
import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from chassis.auth import Authenticator, Role
from chassis.testing.databases import Databases
from headwater.incidents import find as find_incidents
from headwater.names import ProjectName
from tests import platform
from tests.integration.gateway import served
from tests.integration.gateway.served import AWKWARD_INPUT, LONG, SCRIPT
from tests.platform import Platform

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HTML = {"accept": "text/html"}
JSON = {"accept": "application/json"}
PROJECT = "/projects/default"
DEPLOYMENTS = f"{PROJECT}/deployments"
SCORES = f"{DEPLOYMENTS}/scores"
PRICES = f"{DEPLOYMENTS}/prices"
INCIDENTS = f"{PROJECT}/incidents"
RECORDS = f"{PROJECT}/inferenceRecords"


class Site(Platform):
    """What runs, and how to start another gateway beside it."""

    start: Any
    directory: Path

    async def another_gateway(self, **overrides: Any) -> str:
        """A gateway that is told other addresses; returns its URL."""
        beside = Platform(self.token_for, dict(self.services))
        await platform.start(beside, "gateway", self.start, self.directory, **overrides)
        return beside.endpoints.gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Services that the tests of this module only read from."""
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
            service = await build(settings(**{**common, **stores, **overrides}))
            running.push_async_callback(service.stop)
            await service.start()
            return service

        def token_for(*roles: Role, subject: str = f"tester {SCRIPT}", ttl_s: float = 3600) -> str:
            return authenticator.mint(subject, roles, ttl_s)

        started = Site(token_for)
        started.start, started.directory = start, directory
        await platform.start(started, "registry", start, directory)
        await platform.start(started, "dataset", start, directory)
        quick = {"resolve_interval_s": 0.05, "engine_isolation": "none", "http_port": 0, "flight_port": 0}
        await platform.start(started, "inference", start, directory, **quick)
        told = {
            "told_inference_address": started.endpoints.inference,
            "told_inference_http_address": started.endpoints.inference_http,
        }
        await platform.start(started, "gateway", start, directory, **told)
        await asyncio.to_thread(served.fill, started, directory)
        yield started
    databases.drop(database)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of somebody who may read."""
    async with _client(site, site.token_for(Role.READER)) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def incident(site: Site) -> str:
    """The path of the incident of ``prices``."""
    with contextlib.closing(site.connect(Role.READER)) as connection:
        every = find_incidents(connection, ProjectName("default"), deployment=served.named("prices"))
        found = await asyncio.to_thread(next, every)
    return f"/{found.name}"


def _client(site: Site, token: str, url: str = "") -> httpx.AsyncClient:
    headers = {**HTML, "authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=url or site.endpoints.gateway, headers=headers, follow_redirects=True)


def text_of(page: httpx.Response) -> str:
    """What a page says, without its markup."""
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


async def program(reader: httpx.AsyncClient, deployment: str, kind: str) -> str:
    """What a page gives to be copied."""
    page = await reader.get(f"{DEPLOYMENTS}/{deployment}")
    found = re.search(rf'aria-labelledby="call-{kind}"><code>(.*?)</code></pre>', page.text, re.DOTALL)
    assert found, page.text
    return html.unescape(found[1])


async def test_every_page_of_serving_leads_only_to_pages_that_there_are(reader: httpx.AsyncClient) -> None:
    seen: set[str] = set()
    waiting = [DEPLOYMENTS]
    while waiting:
        path = waiting.pop()
        page = await reader.get(path)
        assert page.status_code == 200, path
        seen.add(path)
        links = {html.unescape(link) for link in re.findall(r'href="([^"#]+)', page.text)}
        new = {str(httpx.URL(path).join(link)) for link in links} - {*seen, *waiting}
        own = ("deployments", "incidents", "inferenceRecords", "models/scores")
        waiting += sorted(link for link in new if any(f"/{part}" in link for part in own) and "?" not in link)
    assert {DEPLOYMENTS, SCORES, PRICES, INCIDENTS, RECORDS, f"{PROJECT}/models/scores/versions/1"} <= seen
    assert any("/rollouts/" in path for path in seen)


async def test_deployments_are_listed_with_how_they_stand(reader: httpx.AsyncClient) -> None:
    """States in words, which colours and signs only repeat."""
    page = await reader.get("/deployments")
    said = text_of(page)
    assert "scores ● ready 0 scores 1 version 1 main 70 % , next 30 % , wrong copies of 100 %" in said
    assert "prices ● ready 1 prices 1 alias served one version answers all" in said
    assert "waiting ▲ waiting 0 nothing stage production" in said
    assert "failing ■ failed 0 nothing" in said
    assert "paused ○ paused 0 nothing" in said
    assert (
        f"▲ rolled back 1 back 1 alias served one version answers all Version 2 is set aside by tester {SCRIPT}" in said
    )
    assert "gone" not in said
    assert "Open incidents 2" in said
    assert "No version can answer yet" in page.text


async def test_a_deployment_says_what_it_serves_and_why(reader: httpx.AsyncClient) -> None:
    said = text_of(await reader.get(SCORES))
    assert "scores ● ready Its version is loaded and in place." in said
    assert "Answers with scores 1 Because it goes by version 1 of scores" in said
    assert re.search(r"main 60 % scores 1 version 1 ● closed \d", said)
    assert re.search(r"next 30 % scores 2 version 2 ● closed", said)
    assert re.search(r"wrong copies of 100 % scores 3 version 3 ● closed 0 0 0 of \d+ answers agree", said)
    assert "fallback-1 what the others cannot answer scores 2 version 2" in said
    assert "canary 10 % scores 2 the rollout of version 2" in said
    assert "other deployments do, in this order: prices ." in said
    assert "kept together by who asks" in said


async def test_a_deployment_that_does_not_answer_says_why(reader: httpx.AsyncClient) -> None:
    back = text_of(await reader.get(f"{DEPLOYMENTS}/{LONG}"))
    assert f"Why: Version 2 is set aside by tester {SCRIPT}: customers complain {SCRIPT}" in back
    assert f"headwater deployment resume {LONG}" in back
    assert "An earlier version answers" in back
    assert "No callable nobody is registered" in text_of(await reader.get(f"{DEPLOYMENTS}/failing"))
    waiting = text_of(await reader.get(f"{DEPLOYMENTS}/waiting"))
    assert (
        "No version can answer yet: none is chosen, or it is being loaded. What it waits for: No version of" in waiting
    )
    assert "unloaded: false" in text_of(await reader.get(f"{DEPLOYMENTS}/paused"))
    gone = text_of(await reader.get(f"{DEPLOYMENTS}/gone"))
    assert "gone ○ archived It serves no more." in gone
    assert "How to call it" not in gone


async def test_a_rollout_shows_its_steps_and_what_ended_it(reader: httpx.AsyncClient) -> None:
    page = await reader.get(SCORES)
    said = text_of(page)
    assert "● running It goes on by itself while its objectives hold. It waits for this:" in said
    assert "In each step at most 1 % of the requests fail, and at least 90 % of the answers agree" in said
    assert re.search(r"1 10 % ● now 1,000 requests and 1 h 0 requests, 0 failed", said)
    assert "2 60 % ○ to come" in said
    (ended,) = re.findall(
        r'href="(/projects/default/deployments/scores/rollouts/[^"]+)"', page.text.split("Before</h3>")[1]
    )
    shown = text_of(await reader.get(ended))
    assert "Version 2 takes over scores" in shown
    assert "1 5 % ○ ended" in shown
    assert "2 50 % ○ not reached" in shown
    assert "started 5 %" in shown
    assert "aborted 0 %" in shown


async def test_a_deployment_whose_drift_is_watched_says_what_was_found(reader: httpx.AsyncClient) -> None:
    said = text_of(await reader.get(SCORES))
    assert re.search(r"Drift Whether what is asked .* scores 1 .* rows were looked at", said)
    assert "No window is complete yet." in said
    assert "Drift Whether" not in text_of(await reader.get(PRICES))


async def test_an_open_breaker_is_seen_and_leads_to_its_incident(reader: httpx.AsyncClient, incident: str) -> None:
    """N-10, P-40."""
    page = await reader.get(PRICES)
    assert re.search(
        rf'<a href="{incident}"><span class="chip bad"[^>]*><span aria-hidden="true">■</span> <bdi>open', page.text
    )
    assert "1 3 3 ENGINE_FAILED" in text_of(page)
    assert "1 open incident" in text_of(page)
    assert "The breaker of prices 1 is open : it is not asked for a while. There is nothing else" in text_of(page)


async def test_options_are_said_in_plain_words(reader: httpx.AsyncClient) -> None:
    said = text_of(await reader.get(SCORES))
    for sentence in (
        "What queued while the engine was busy is computed together, up to 32 rows.",
        "An idle engine waits up to 5 ms for more",
        "There are 3 priorities, 1 the first; requests that name none have 3.",
        "of each version, for 1 min.",
        "Values are recorded of every request, up to 65.54 KB of each side.",
        "Never recorded: x.income.",
        "A version is not asked any more after 5 failures in a row.",
        "Windows of 10 min and at least 500 rows are compared with the data that the version was trained on",
    ):
        assert sentence in said, sentence
    assert "after 3 failures in a row" in text_of(await reader.get(PRICES))


@pytest.mark.parametrize("deployment", ["scores", "awkward"])
async def test_the_programs_that_are_shown_call_the_deployment(
    site: Site, reader: httpx.AsyncClient, deployment: str
) -> None:
    """Also where a name in the model's file would be a command in a shell, or the end of a string in Python."""
    environment = {**os.environ, "HEADWATER_TOKEN": site.token_for(Role.READER)}
    python, curl = await program(reader, deployment, "python"), await program(reader, deployment, "curl")

    async def run(*command: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert await run(sys.executable, "-c", python) == "y [[0. 0. 0.]]\n"
    assert '"data":[0' in (await run("bash", "-c", f"{curl} --silent")).replace(" ", "").replace("-0", "0")
    about = await run("bash", "-c", f"{await program(reader, deployment, 'about')} --silent")
    assert (AWKWARD_INPUT if deployment == "awkward" else "x") in html.unescape(about.replace('\\"', '"'))


async def test_incidents_are_listed_and_found(reader: httpx.AsyncClient, incident: str) -> None:
    page = await reader.get(INCIDENTS)
    assert f'href="{incident}"' in page.text
    assert "prices the breaker of a version opened 3 failures in a row, the last ENGINE_FAILED" in text_of(page)
    assert incident in (await reader.get(INCIDENTS, params={"deployment": "prices", "state": "open"})).text
    assert "No incident is so." in text_of(await reader.get(INCIDENTS, params={"deployment": "scores"}))
    assert "No incident is so." in text_of(await reader.get(INCIDENTS, params={"state": "resolved"}))


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (INCIDENTS, {"state": SCRIPT}),
        (INCIDENTS, {"deployment": SCRIPT}),
        (INCIDENTS, {"page": "nonsense"}),
        (RECORDS, {"deployment": SCRIPT}),
        (RECORDS, {"page": "nonsense"}),
        (DEPLOYMENTS, {"page": "nonsense"}),
    ],
)
async def test_what_cannot_be_searched_is_said_beside_the_form(
    reader: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    page = await reader.get(path, params=params)
    assert page.status_code == 400
    assert 'class="notice failure" role="alert"' in page.text
    assert "<script" not in page.text


async def test_an_incident_shows_its_evidence_and_what_happened(reader: httpx.AsyncClient, incident: str) -> None:
    """P-40."""
    page = await reader.get(incident)
    said = text_of(page)
    for part in (
        "prices : the breaker of a version opened ■ open It lasts.",
        "Why: 3 failures in a row, the last ENGINE_FAILED",
        f"Looked after by tester {SCRIPT}",
        f"Note The table is short {SCRIPT}",
        "failing prices 1 sha256:",
        "What was measured in the 30 s before 1 answered 3 failed 75 %",
        "ENGINE_FAILED 3",
        f"mine {SCRIPT}",
        "A version is not asked any more after 3 failures in a row.",
        "What happened Time (UTC) What By",
    ):
        assert part in said, part
    *_, last = re.findall(r'href="(/projects/default/inferenceRecords/[^"]+)"', page.text)
    assert "■ ENGINE_FAILED" in text_of(await reader.get(last))


async def test_a_request_shows_what_was_asked_and_answered_and_what_was_left_out(
    site: Site, reader: httpx.AsyncClient
) -> None:
    """M-83…M-86: what nobody may see is shown as left out, and not as the zeros that stand in its place."""
    page = await _request(reader, site, lambda said: "What turned out to be true Said (UTC)" in said)
    said = text_of(page)
    assert re.search(r"Request [0-9a-f-]{36} ● answered It was answered\.", said)
    assert "Left out before anything was written: x.income . Digests are of what came." in said
    assert re.search(r"x FP32 1 × 3 Row age income rooms 0 [45]\d left out 3", said)
    assert said.count("sha256:") == 3
    assert f'"pays {SCRIPT}" 0.9 opened age 2.5' in said
    assert f'href="/traces/{page.url.path.rpartition("/")[2]}"' in page.text
    assert "81" not in said.split("What was asked")[1].split("What was answered")[0].split("digest")[0]


async def test_a_shadows_answer_is_told_from_those_that_were_given(site: Site, reader: httpx.AsyncClient) -> None:
    page = await _request(reader, site, lambda said: " as wrong " in said)
    said = text_of(page)
    assert "What it came to was given to nobody." in said
    (whole,) = re.findall(r'<dt>Part of</dt><dd><a class="digest" href="([^"]+)"', page.text)
    assert "● answered It was answered." in text_of(await reader.get(whole))


async def test_a_request_whose_values_were_not_recorded_says_so(site: Site, reader: httpx.AsyncClient) -> None:
    page = await _request(reader, site, lambda said: "● answered" in said, "prices")
    assert text_of(page).count("Its values were not recorded.") == 2
    assert "Nobody has said anything of it yet." in text_of(page)


async def _request(reader: httpx.AsyncClient, site: Site, wanted: Any, deployment: str = "scores") -> httpx.Response:
    """The page of the newest request that is as wanted."""
    with contextlib.closing(site.connect(Role.READER)) as connection:
        ids = await asyncio.to_thread(served.record_ids, connection, deployment)
    for each in ids:
        page = await reader.get(f"{RECORDS}/{each}")
        if wanted(text_of(page)):
            return page
    raise AssertionError(f"none of {len(ids)} requests is so")


async def test_requests_come_in_pages(reader: httpx.AsyncClient, site: Site) -> None:
    """By keyset: what comes meanwhile moves nothing."""
    with contextlib.closing(site.connect()) as connection:
        await asyncio.to_thread(served.ask_often, site, connection, "awkward", 51)
    first = await reader.get(RECORDS, params={"deployment": "awkward"})
    (more,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
    assert "deployment=awkward" in html.unescape(more)
    second = await reader.get(RECORDS + html.unescape(more))
    ids = [re.findall(r'href="/projects/default/inferenceRecords/([0-9a-f-]+)"', page.text) for page in (first, second)]
    assert len(ids[0]) == 50
    assert ids[1]
    assert not set(ids[0]) & set(ids[1])
    assert 'rel="first"' in second.text


async def test_a_version_of_a_model_leads_to_the_deployments_that_it_has_answered_for(
    reader: httpx.AsyncClient,
) -> None:
    page = await reader.get(f"{PROJECT}/models/scores/versions/2")
    assert f'href="{SCORES}"' in page.text
    assert "What it answers for has loaded it scores" in text_of(page)
    assert "goes by it scores" in text_of(await reader.get(f"{PROJECT}/models/scores/versions/1"))


async def test_a_trace_and_the_record_of_a_request_lead_to_each_other(site: Site, reader: httpx.AsyncClient) -> None:
    """R-23."""
    page = await _request(reader, site, lambda said: "● answered" in said, "prices")
    (trace,) = re.findall(r'href="(/traces/[^"]+)"', page.text)
    back = await reader.get(trace)
    assert "projects/default/models/prices/versions/1" in text_of(back)
    assert f'href="{page.url.path}"' in back.text


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        (DEPLOYMENTS, {"deployments", "next_page_token"}),
        (SCORES, {"name", "state", "routing", "batching"}),
        (f"{SCORES}/traffic", {"name", "targets"}),
        (f"{SCORES}/drift", {"name", "enabled", "versions"}),
        (f"{SCORES}/rollouts?page_size=1", {"rollouts", "next_page_token"}),
        (f"{INCIDENTS}?state=open&deployment=projects/default/deployments/prices", {"incidents"}),
        (f"{RECORDS}?page_size=2&deployment=projects/default/deployments/scores", {"inference_records"}),
    ],
)
async def test_the_same_is_json_for_programs(reader: httpx.AsyncClient, path: str, keys: set[str]) -> None:
    answer = await reader.get(f"/api/v1{path}", headers=JSON)
    assert answer.status_code == 200, answer.text
    assert keys <= answer.json().keys()


async def test_json_has_whole_resources_and_goes_on_page_by_page(reader: httpx.AsyncClient, incident: str) -> None:
    found = (await reader.get(f"/api/v1{incident}", headers=JSON)).json()
    assert (found["state"], len(found["requests"])) == ("STATE_OPEN", 4)
    first = (await reader.get(f"/api/v1{RECORDS}?page_size=1&deployment=projects/default/deployments/scores")).json()
    (record,) = first["inference_records"]
    assert not record["request_body"]
    whole = (await reader.get(f"/api/v1/{record['name']}?with_bodies=true", headers=JSON)).json()
    assert whole["request_body"]
    assert (await reader.get(f"/api/v1/{record['name']}/feedback", headers=JSON)).json()["feedback"] is not None
    then = {
        "page_size": "1",
        "page_token": first["next_page_token"],
        "deployment": "projects/default/deployments/scores",
    }
    second = (await reader.get(f"/api/v1{RECORDS}", params=then)).json()
    assert second["inference_records"][0]["name"] != record["name"]


@pytest.mark.parametrize(
    "path",
    [
        f"{INCIDENTS}?state=odd",
        f"{INCIDENTS}?page_size=x",
        f"{RECORDS}/x?with_bodies=maybe",
        f"{DEPLOYMENTS}?page_token=x",
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(reader: httpx.AsyncClient, path: str) -> None:
    answer = await reader.get(f"/api/v1{path}", headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        (f"{DEPLOYMENTS}/nothing", 404, "DEPLOYMENT_NOT_FOUND"),
        (f"{SCORES}/rollouts/0192f0c4-0000-7000-8000-000000000000", 404, "ROLLOUT_NOT_FOUND"),
        (f"{INCIDENTS}/0192f0c4-0000-7000-8000-000000000000", 404, "INCIDENT_NOT_FOUND"),
        (f"{RECORDS}/0192f0c4-0000-7000-8000-000000000000", 404, "RECORD_NOT_FOUND"),
        ("/traces/0192f0c4-0000-7000-8000-000000000000?project=many", 404, "RECORD_NOT_FOUND"),
        ("/traces/x?project=a%00b", 400, "INVALID_NAME"),
        (f"{DEPLOYMENTS}/{'a' * 300}", 400, "INVALID_NAME"),
        (f"{DEPLOYMENTS}/a%00b", 400, "INVALID_NAME"),
        (f"{INCIDENTS}/%3Cscript%3Ealert(1)", 400, "INVALID_NAME"),
        (f"{RECORDS}/a%00b", 400, "INVALID_NAME"),
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
    answer = await reader.get(f"/api/v1{path}", headers=JSON)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


async def test_what_people_wrote_is_never_markup(site: Site, reader: httpx.AsyncClient, incident: str) -> None:
    """Promise 13: names in model files, ids and notes of callers, subjects of tokens."""
    back = f"{DEPLOYMENTS}/{LONG}"
    said = await _request(reader, site, lambda text: f"mine {SCRIPT}" in text)
    for path in (DEPLOYMENTS, SCORES, f"{DEPLOYMENTS}/awkward", back, INCIDENTS, incident, RECORDS, said.url.path):
        page = await reader.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text, path
        assert SCRIPT in html.unescape(page.text), path
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_headings_forms_and_tables_have_names(reader: httpx.AsyncClient, incident: str) -> None:
    for path in (DEPLOYMENTS, SCORES, INCIDENTS, incident, RECORDS):
        text = (await reader.get(path)).text
        assert len(re.findall("<h1", text)) == 1
        for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
            assert "<th scope=" in table
        named = set(re.findall(r'<label for="([^"]+)"', text))
        assert set(re.findall(r'<(?:input|select) id="([^"]+)"', text)) == named
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', text)) <= set(ids)


async def test_a_registry_that_is_away_takes_only_what_it_knows_from_the_page(site: Site) -> None:
    url = await site.another_gateway(registry_address="127.0.0.1:1")
    async with _client(site, site.token_for(Role.READER), url) as client:
        said = text_of(await client.get(SCORES))
    assert "Answers with scores 1" in said
    assert "What goes in cannot be told right now: The service 127.0.0.1:1 cannot be reached right now." in said
    assert "/v2/models/scores" in said


async def test_an_inference_service_that_is_away_is_explained(site: Site) -> None:
    url = await site.another_gateway(inference_address="127.0.0.1:1")
    async with _client(site, site.token_for(Role.READER), url) as client:
        home = text_of(await client.get("/"))
        assert home.count("This cannot be told right now: The service 127.0.0.1:1 cannot be reached") == 2
        assert "scores" in home  # what other services know is there all the same
        page = await client.get(SCORES)
        assert page.status_code == 503
        assert "The service 127.0.0.1:1 cannot be reached right now." in page.text
        assert "Back to the overview" in page.text
        version = await client.get(f"{PROJECT}/models/scores/versions/2")
        assert f'href="{SCORES}"' in version.text  # the registry knows


@pytest.mark.parametrize("path", ["/deployments", DEPLOYMENTS, SCORES, INCIDENTS, RECORDS, f"/api/v1{SCORES}"])
async def test_without_a_session_nothing_is_shown(site: Site, path: str) -> None:
    """Promise 14."""
    async with httpx.AsyncClient(base_url=site.endpoints.gateway) as nobody:
        page = await nobody.get(path, headers=HTML)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/login?next=/")
    async with _client(site, site.token_for()) as without_rights:
        assert (await without_rights.get(path)).status_code == 403


async def test_a_project_without_deployments_says_how_to_begin(reader: httpx.AsyncClient) -> None:
    assert (
        "Nothing is served yet. headwater deployment create NAME --model MODEL --stage production --project many"
        in text_of(await reader.get("/projects/many/deployments"))
    )
    assert "Nothing went wrong so far." in text_of(await reader.get("/projects/many/incidents"))
    assert "No request has come yet." in text_of(await reader.get("/projects/many/inferenceRecords"))

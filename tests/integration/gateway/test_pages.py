"""The gateway over real services: signing in, pages, REST."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from chassis.auth import Role
from tests.conftest import StartPlatform
from tests.platform import Platform

HTML = {"accept": "text/html"}


@pytest_asyncio.fixture
async def platform(start_platform: StartPlatform) -> Platform:
    return await start_platform("registry", "dataset", "inference", "gateway")


@pytest_asyncio.fixture
async def browser(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies and says where its requests come from, as browsers do."""
    gateway = platform.endpoints.gateway
    async with httpx.AsyncClient(base_url=gateway, headers={**HTML, "origin": gateway}) as client:
        yield client


async def sign_in(browser: httpx.AsyncClient, platform: Platform, target: str = "/") -> httpx.Response:
    return await browser.post("/login", data={"token": platform.token_for(Role.READER), "next": target})


async def test_a_browser_without_a_token_is_asked_for_one_and_comes_back(
    browser: httpx.AsyncClient, platform: Platform
) -> None:
    sent = await browser.get("/traces/x")
    assert sent.headers["location"] == "/login?next=/traces/x"
    form = await browser.get(sent.headers["location"])
    assert 'name="next" value="/traces/x"' in form.text
    back = await sign_in(browser, platform, "/traces/x")
    assert (back.status_code, back.headers["location"]) == (303, "/traces/x")
    assert (await browser.get("/")).status_code == 200


async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(
    browser: httpx.AsyncClient, platform: Platform
) -> None:
    cookie = (await sign_in(browser, platform)).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_another_site_cannot_make_a_signed_in_browser_act(browser: httpx.AsyncClient, platform: Platform) -> None:
    await sign_in(browser, platform)
    answer = await browser.post("/logout", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
async def test_signing_in_never_leads_to_another_site(
    browser: httpx.AsyncClient, platform: Platform, target: str
) -> None:
    assert (await sign_in(browser, platform, target)).headers["location"] == "/"


async def test_a_wrong_token_is_refused_on_the_form(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", data={"token": "wrong"})
    assert answer.status_code == 401
    assert "not a valid token" in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_form_that_is_too_large_is_refused(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/login", content=b"token=" + b"a" * 100_000)
    assert answer.status_code == 400


async def test_signing_out_forgets_the_token(browser: httpx.AsyncClient, platform: Platform) -> None:
    await sign_in(browser, platform)
    assert (await browser.post("/logout")).status_code == 303
    assert (await browser.get("/")).status_code == 303


async def test_an_unknown_request_is_a_page_for_browsers_and_json_for_programs(
    browser: httpx.AsyncClient, platform: Platform
) -> None:
    await sign_in(browser, platform)
    page = await browser.get("/traces/0192f0c4-0000-7000-8000-000000000000")
    assert page.status_code == 404
    assert "RECORD_NOT_FOUND" in page.text
    answer = await browser.get("/api/v1/traces/x", headers={"accept": "application/json"})
    assert answer.status_code == 404
    assert answer.json()["error"]["reason"] == "RECORD_NOT_FOUND"
    assert answer.json()["error"]["trace_id"]


@pytest.mark.parametrize("name", ["%2e%2e", "a%00b", "<script>alert(1)</script>", "a" * 300])
async def test_a_bad_request_id_is_refused_and_never_shown_as_markup(
    browser: httpx.AsyncClient, platform: Platform, name: str
) -> None:
    """Promise 13."""
    await sign_in(browser, platform)
    answer = await browser.get(f"/traces/{name}")
    assert answer.status_code in (303, 400, 404)
    assert "<script" not in answer.text


async def test_pages_load_nothing_from_elsewhere_and_run_no_script(
    browser: httpx.AsyncClient, platform: Platform
) -> None:
    await sign_in(browser, platform)
    page = await browser.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"https?://|<script", page.text)

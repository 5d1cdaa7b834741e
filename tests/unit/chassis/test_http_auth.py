"""Who may use an HTTP application while authentication is off: everybody on the machine, but no page of a browser."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from chassis.auth import Authenticator
from chassis.http.auth import AuthMiddleware

APP = AuthMiddleware(PlainTextResponse("done"), Authenticator.disabled())


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"origin": "http://here"}, 200),
        ("POST", {"sec-fetch-site": "same-origin"}, 200),
        ("POST", {"origin": "https://elsewhere.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("DELETE", {"sec-fetch-site": "same-site"}, 403),
        ("GET", {"sec-fetch-site": "cross-site"}, 200),
    ],
)
async def test_no_page_of_another_site_changes_anything(method: str, headers: dict[str, str], status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://here") as client:
        answer = await client.request(method, "/anything", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["reason"] == "CROSS_SITE_REQUEST"

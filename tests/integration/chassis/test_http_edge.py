"""The HTTP edges: /ok, /varz and /metrics of every service, and what stands around a public application."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from chassis import Service, ServiceSettings
from chassis.auth import Authenticator, Role, current_principal, current_token
from chassis.http.auth import SESSION_COOKIE
from chassis.telemetry import current_trace_id
from chassis.testing import StartService, TokenFor
from headwater.errors import NotFound, ResourceExhausted, Unauthenticated
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import SECRET

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


async def admin(service: Service, path: str, token: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{service.admin_port}{path}", headers=headers)


async def test_ok_is_public_and_the_rest_of_the_admin_http_is_not(tiny: Service, token_for: TokenFor) -> None:
    """Rows M-90, M-91, M-92."""
    assert (await admin(tiny, "/ok")).json() == {"service": "tiny", "health": "SERVING", "ready": True, "checks": {}}
    for path in ("/varz", "/metrics", "/", "/nothing", "/ok/", "/ok/../varz", "//ok", "/OK"):
        assert (await admin(tiny, path)).status_code == 401, path
        assert (await admin(tiny, path, token_for())).status_code == 403, path
    assert (await admin(tiny, "/nothing", token_for(Role.READER))).status_code == 404


async def test_varz_tells_every_setting_and_no_secret(start_service: StartService, token_for: TokenFor) -> None:
    """Row M-91."""

    async def build(settings: ServiceSettings) -> Service:
        return Service("plain", settings, auth=Authenticator.from_settings(settings.auth_key_file))

    urls = {"database_url": "postgresql://bob:hunter2@db/x", "redis_url": "redis://:hunter2@cache/0"}
    service = await start_service(build, ServiceSettings, **urls)
    answer = await admin(service, "/varz", token_for(Role.READER))
    settings = answer.json()["settings"]
    assert settings["database_url"] == "postgresql://bob:***@db/x"
    assert settings["grace_s"] == 10.0
    assert set(settings) == set(ServiceSettings.model_fields)
    assert "hunter2" not in answer.text


async def test_metrics_count_calls_by_method_and_code(
    tiny: Service, stub: "artifacts_pb2_grpc.ArtifactServiceAsyncStub", token_for: TokenFor
) -> None:
    """Row M-92."""
    for name in ("x", "x", "missing"):
        try:
            await stub.GetArtifact(artifacts_pb2.GetArtifactRequest(name=name))
        except NotFound:
            continue
    text = (await admin(tiny, "/metrics", token_for(Role.READER))).text
    method = 'edge="grpc",method="/headwater.registry.v1.ArtifactService/GetArtifact"'
    assert f'headwater_calls_total{{code="OK",{method}}} 2.0' in text
    assert f'headwater_calls_total{{code="NOT_FOUND",{method}}} 1.0' in text
    assert 'headwater_call_seconds_bucket{edge="grpc",le="+Inf",method="/headwater.registry.v1.Artifact' in text
    assert f"headwater_calls_in_flight{{{method}}} 0.0" in text
    assert "process_resident_memory_bytes" in text


async def hello(request: Request) -> Response:
    kind = request.query_params.get("kind")
    if kind == "boom":
        raise ValueError(SECRET)
    if kind == "missing":
        raise NotFound(model="m")
    if kind == "busy":
        raise ResourceExhausted(retry_after_ms=1500)
    if kind == "midway":
        return StreamingResponse(failing())
    try:
        subject = current_principal().subject
    except Unauthenticated:
        subject = "nobody"
    return PlainTextResponse(f"{subject} {current_trace_id()} {bool(current_token())}")


async def failing() -> AsyncIterator[bytes]:
    yield b"begun"
    await asyncio.sleep(0)
    raise ValueError(SECRET)


@pytest.fixture
async def site(start_service: StartService, token_for: TokenFor) -> AsyncIterator[httpx.AsyncClient]:
    """A public application with a login page, and a scheme of its own beside bearer tokens."""
    paths = ("/", "/login", "/static/logo.svg", "/api")
    app = Starlette(routes=[Route(path, hello, methods=["GET", "POST"]) for path in paths])

    def signature(scope: Scope) -> str | None:
        wanted = dict(scope["headers"]).get(b"x-signature")
        if wanted is None:
            return None
        if wanted != b"right":
            raise Unauthenticated()
        return token_for(Role.WRITER, subject="signer")

    async def build(settings: ServiceSettings) -> Service:
        service = Service("site", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        service.add_http(app, 0, public=("/login", "/static/*"), login_path="/login", schemes=[signature])
        return service

    service = await start_service(build, ServiceSettings, database_url="", redis_url="")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}") as client:
        yield client


async def test_only_public_paths_are_open(site: httpx.AsyncClient) -> None:
    for path in (
        "/",
        "/api",
        "/static",
        "/static/../api",
        "/static/%2e%2e/api",
        "/login/../api",
        "//login",
        "/nothing",
    ):
        answer = await site.get(path)
        assert answer.status_code == 401, path
        assert answer.json()["error"]["reason"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/login", "/static/logo.svg"):
        assert (await site.get(path)).text.startswith("nobody"), path


async def test_a_bearer_token_a_session_and_a_scheme_all_say_who_calls(
    site: httpx.AsyncClient, token_for: TokenFor
) -> None:
    token = token_for(Role.READER, subject="ada")
    headers = {"authorization": f"Bearer {token}", "traceparent": TRACE}
    assert (await site.get("/api", headers=headers)).text == "ada 0af7651916cd43dd8448eb211c80319c True"
    assert (await site.get("/api", headers={"cookie": f"{SESSION_COOKIE}={token}"})).text.startswith("ada ")
    assert (await site.get("/api", headers={"x-signature": "right"})).text.startswith("signer ")
    assert (await site.get("/api", headers={"x-signature": "wrong"})).status_code == 401
    assert (await site.get("/api", headers={"cookie": f"{SESSION_COOKIE}=garbage"})).status_code == 401


async def test_a_browser_without_a_session_is_sent_to_the_login_page(site: httpx.AsyncClient) -> None:
    answer = await site.get("/api", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/api")


async def test_another_site_cannot_make_a_signed_in_browser_change_anything(
    site: httpx.AsyncClient, token_for: TokenFor
) -> None:
    cookie = {"cookie": f"{SESSION_COOKIE}={token_for(Role.WRITER)}"}
    here = str(site.base_url).rstrip("/")
    for headers in ({}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site", "origin": here}):
        answer = await site.post("/api", headers=cookie | headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["reason"] == "CROSS_SITE_REQUEST"
    assert (await site.post("/api", headers=cookie | {"origin": here})).status_code == 200
    assert (await site.post("/api", headers=cookie | {"sec-fetch-site": "same-origin"})).status_code == 200
    bearer = {"authorization": f"Bearer {token_for(Role.WRITER)}"}
    assert (await site.post("/api", headers=bearer)).status_code == 200


async def test_errors_have_code_reason_and_trace_id_and_leak_nothing(
    site: httpx.AsyncClient, token_for: TokenFor
) -> None:
    headers = {"authorization": f"Bearer {token_for(Role.READER)}", "traceparent": TRACE}
    wanted = {"missing": (404, "NOT_FOUND"), "busy": (429, "RESOURCE_EXHAUSTED"), "boom": (500, "INTERNAL")}
    for kind, (status, reason) in wanted.items():
        answer = await site.get("/api", params={"kind": kind}, headers=headers)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert (error["reason"], error["trace_id"]) == (reason, "0af7651916cd43dd8448eb211c80319c")
        assert "vault" not in answer.text
    assert (await site.get("/api?kind=busy", headers=headers)).headers["retry-after"] == "2"


@pytest.mark.parametrize("framework", ["application", "router"])
async def test_pages_that_are_not_there_are_told_as_errors_of_ours(
    start_service: StartService, token_for: TokenFor, tmp_path: Path, framework: str
) -> None:
    routes = [Mount("/static", StaticFiles(directory=tmp_path)), Route("/boom", hello)]

    async def build(settings: ServiceSettings) -> Service:
        service = Service("site", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        service.add_http(Starlette(routes=routes) if framework == "application" else Router(routes=routes), 0)
        return service

    service = await start_service(build, ServiceSettings, database_url="", redis_url="")
    headers = {"authorization": f"Bearer {token_for(Role.READER)}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.http_port}", headers=headers) as client:
        answer = await client.get("/static/nothing.css")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert (await client.post("/static/nothing.css")).status_code == 405
        answer = await client.get("/boom?kind=boom")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")


async def test_an_answer_that_fails_midway_is_cut_off_and_not_completed(
    site: httpx.AsyncClient, token_for: TokenFor
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await site.get("/api?kind=midway", headers={"authorization": f"Bearer {token_for(Role.READER)}"})
    assert (await site.get("/login")).status_code == 200

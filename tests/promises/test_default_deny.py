"""Promise 14: nothing is answered without credentials, but what is public by name. Everything there is, is tried."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pyarrow as pa
from pyarrow import flight
from starlette.routing import Mount, Route

from chassis.auth import Authenticator, Role
from chassis.testing.bad_inputs import bad_tokens
from chassis.testing.edge import call_raw, clean_error
from headwater.client import Connection, Endpoints
from services.gateway.app import application
from services.gateway.serving.calls import Addresses
from services.inference.kserve.http.routes import ROUTES as INFERENCE_ROUTES
from tests.conftest import StartPlatform
from tests.platform import Platform
from tests.promises import edges

FlightCall = Callable[[flight.FlightClient, flight.FlightCallOptions], Any]

FLIGHT_CALLS: dict[str, FlightCall] = {
    "list_flights": lambda client, options: list(client.list_flights(options=options)),
    "get_flight_info": lambda client, options: client.get_flight_info(flight.FlightDescriptor.for_path("a"), options),
    "get_schema": lambda client, options: client.get_schema(flight.FlightDescriptor.for_path("a"), options),
    "do_get": lambda client, options: client.do_get(flight.Ticket(b"a"), options).read_all(),
    "do_put": lambda client, options: _put(client, options),
    "do_exchange": lambda client, options: _exchange(client, options),
    "do_action": lambda client, options: list(client.do_action(flight.Action("a", b""), options)),
    "list_actions": lambda client, options: list(client.list_actions(options)),
}
PUBLIC_PATHS = {("GET", "/login"), ("HEAD", "/login"), ("POST", "/login"), ("GET", "/static/style.css")}
ADMIN_PUBLIC, ADMIN_GUARDED = ("/ok", "/ok/ready"), ("/varz", "/metrics", "/", "/anything")


def _put(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    writer, answers = client.do_put(flight.FlightDescriptor.for_command(b""), pa.schema([]), options)
    writer.done_writing()
    answers.read()
    writer.close()


def _exchange(client: flight.FlightClient, options: flight.FlightCallOptions) -> None:
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b""), options)
    writer.done_writing()
    reader.read_all()
    writer.close()


async def test_no_grpc_method_answers_without_valid_credentials(
    start_platform: StartPlatform, authenticator: Authenticator
) -> None:
    platform = await start_platform()
    found = await asyncio.to_thread(lambda: list(edges.methods(platform)))
    assert {method.service for method in found} == set(platform.services)
    kinds = bad_tokens(authenticator)
    # Every method without any credentials; one method of every service with every kind of bad ones.
    tried = [(method, "none") for method in found]
    tried += [(method, kind) for method in {each.service: each for each in found}.values() for kind in kinds]
    for method, kind in tried:
        error = await call_raw(method.address, method.path, token=kinds[kind])
        assert error is not None, f"{method.path} answered with the token: {kind}"
        if kind == "20 KiB":  # gRPC itself refuses metadata of this size
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            continue
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, f"{method.path} with the token: {kind}: {error}"
        assert clean_error(error).reason == "UNAUTHENTICATED"


async def test_no_grpc_method_answers_a_caller_without_its_role(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    found = await asyncio.to_thread(lambda: list(edges.methods(platform)))
    tokens = {role: platform.token_for(role) for role in Role}
    no_role = platform.token_for()
    tried = 0
    for method in found:
        weaker = [no_role] if method.role is None else [no_role, *_without(method.role, tokens)]
        for token in weaker:
            error = await call_raw(method.address, method.path, token=token)
            assert error is not None, f"{method.path} answered a caller without its role"
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED, f"{method.path}: {error}"
            clean_error(error)
            tried += 1
    assert tried > len(found)


def _without(role: Role, tokens: dict[Role, str]) -> list[str]:
    """Tokens of the roles that neither are ``role`` nor imply it."""
    implied_by = {
        Role.READER: set(Role),
        Role.WRITER: {Role.WRITER, Role.ADMIN},
        Role.APPROVER: {Role.APPROVER, Role.ADMIN},
        Role.ADMIN: {Role.ADMIN},
    }
    return [token for held, token in tokens.items() if held not in implied_by[role]]


async def test_no_flight_method_answers_without_valid_credentials(
    start_platform: StartPlatform, authenticator: Authenticator
) -> None:
    platform = await start_platform("registry", "dataset", "inference")

    def try_all(address: str) -> None:
        with flight.FlightClient(f"grpc://{address}") as client:
            for kind, token in bad_tokens(authenticator).items():
                headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
                options = flight.FlightCallOptions(headers=headers, timeout=10)
                for name, call in FLIGHT_CALLS.items():
                    assert _is_refused(call, client, options), f"{address}: {name} answered with the token: {kind}"

    for address in (platform.endpoints.dataset_flight, platform.endpoints.inference_flight):
        await asyncio.to_thread(try_all, address)


def _is_refused(call: FlightCall, client: flight.FlightClient, options: flight.FlightCallOptions) -> bool:
    try:
        call(client, options)
    except flight.FlightUnauthenticatedError:
        return True
    except (OSError, pa.ArrowInvalid) as error:  # a writer that finds out when it closes; gRPC's limit of metadata
        return "UNAUTHENTICATED" in str(error) or "metadata size" in str(error)
    return False


async def test_every_method_of_a_flight_client_is_among_those_tried() -> None:
    others = {"authenticate", "authenticate_basic_token", "close", "connect", "wait_for_available", "supports_async"}
    callable_names = {name for name in dir(flight.FlightClient) if not name.startswith("_")}
    assert {name for name in callable_names - others if not name.startswith("as_async")} == set(FLIGHT_CALLS)


async def test_no_page_or_resource_answers_without_valid_credentials(
    start_platform: StartPlatform, authenticator: Authenticator
) -> None:
    platform = await start_platform()
    routes = set(_routes(authenticator)) | {("GET", "/nothing/here"), ("DELETE", "/")}
    tokens = bad_tokens(authenticator)
    async with httpx.AsyncClient(base_url=platform.endpoints.gateway) as client:
        for method, path in routes - PUBLIC_PATHS:
            for kind, token in tokens.items():
                for headers in ({"authorization": f"Bearer {token}"}, {"cookie": f"headwater_session={token}"}):
                    answer = await client.request(method, path, headers=headers if _sendable(token) else {})
                    assert answer.status_code in (401, 403), f"{method} {path} with the token: {kind}: {answer}"
        for method, path in PUBLIC_PATHS:
            assert (await client.request(method, path)).status_code in (200, 401)
    assert PUBLIC_PATHS - {("GET", "/static/style.css")} <= routes


async def test_no_path_of_the_inference_protocol_answers_without_valid_credentials_and_its_role(
    start_platform: StartPlatform, authenticator: Authenticator
) -> None:
    platform = await start_platform("registry", "inference")
    routes = {(route.method, re.sub(r"{\w+}", "x", route.path)): route.role for route in INFERENCE_ROUTES}
    unknown = {("GET", "/v2/nothing"): None, ("DELETE", "/v2"): None, ("GET", "/"): None}
    kinds = bad_tokens(authenticator)
    weaker = {
        role: [platform.token_for(), *_without(role, {each: platform.token_for(each) for each in Role})]
        for role in Role
    }
    async with httpx.AsyncClient(base_url=f"http://{platform.endpoints.inference_http}") as client:

        async def status(method: str, path: str, token: str) -> int:
            headers = {"authorization": f"Bearer {token}"} if _sendable(token) else {}
            return (await client.request(method, path, headers=headers)).status_code

        for (method, path), role in {**routes, **unknown}.items():
            for kind in kinds if role is None else ("none",):
                assert await status(method, path, kinds[kind]) == 401, f"{method} {path} with the token: {kind}"
            for token in weaker[role or Role.READER]:
                assert await status(method, path, token) == 403, f"{method} {path} without its role"
        assert await status("GET", "/v2", platform.token_for(Role.READER)) == 200


def _sendable(token: str) -> bool:
    return token != "" and token.isascii() and token.isprintable()


def _routes(authenticator: Authenticator) -> list[tuple[str, str]]:
    found = []
    for route in application(Connection(Endpoints()), authenticator, Addresses(grpc="", http="")).routes:
        if isinstance(route, Route):
            path = route.path.replace("{request_id}", "x")
            found += [(method, path) for method in route.methods or ()]
        else:
            assert isinstance(route, Mount)
            assert route.path == "/static"
    return found


async def test_the_admin_port_tells_only_whether_the_service_is_well(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    async with httpx.AsyncClient() as client:
        for name, service in platform.services.items():
            base = f"http://127.0.0.1:{service.admin_port}"
            for path in ADMIN_PUBLIC:
                assert (await client.get(base + path)).status_code == 200, f"{name} {path}"
            for path in ADMIN_GUARDED:
                assert (await client.get(base + path)).status_code == 401, f"{name} {path}"
            reader = {"authorization": f"Bearer {platform.token_for(Role.READER)}"}
            for path in ("/varz", "/metrics"):
                assert (await client.get(base + path, headers=reader)).status_code == 200, f"{name} {path}"


async def test_what_varz_tells_has_no_secret(start_platform: StartPlatform, platform_secrets: list[str]) -> None:
    platform: Platform = await start_platform()
    async with httpx.AsyncClient() as client:
        for name, service in platform.services.items():
            reader = {"authorization": f"Bearer {platform.token_for(Role.READER)}"}
            told = (await client.get(f"http://127.0.0.1:{service.admin_port}/varz", headers=reader)).text
            assert not [secret for secret in platform_secrets if secret in told], name

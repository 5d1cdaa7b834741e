"""Promise 16 and the bad inputs of the gRPC edge and of names, against every service and every method."""

import asyncio

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from chassis.auth import Role
from chassis.testing.bad_inputs import BAD_NAMES, BAD_PAGE_TOKENS, GARBAGE_BODIES, OVERSIZED_METADATA, nested_body
from chassis.testing.edge import call_raw, clean_error
from tests.conftest import StartPlatform
from tests.platform import Platform
from tests.promises import edges
from tests.promises.edges import Method

ADMIN = Role.ADMIN


async def found(platform: Platform) -> list[Method]:
    return await asyncio.to_thread(lambda: list(edges.methods(platform)))


async def assert_all_serve(platform: Platform) -> None:
    """After every bad input the same process serves."""
    for name, service in platform.services.items():
        async with grpc.aio.insecure_channel(service.address) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest.SerializeToString,
                health_pb2.HealthCheckResponse.FromString,
            )
            answer = await check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING, name


def ours(methods: list[Method]) -> list[Method]:
    return [method for method in methods if method.role is not None]


async def test_bytes_that_are_no_message_are_refused_by_every_method(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    token = platform.token_for(ADMIN)
    for method in ours(await found(platform)):
        first = method.descriptor.input_type.fields_by_number.get(1)
        if first is None or first.type != first.TYPE_STRING:
            continue  # those bytes are unknown fields there, which protobuf skips
        for kind, body in {**GARBAGE_BODIES, "200 deep": nested_body()}.items():
            error = await call_raw(method.address, method.path, body, token=token)
            assert error is not None, f"{method.path} took: {kind}"
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, f"{method.path} {kind}: {error}"
            clean_error(error)
    await assert_all_serve(platform)


async def test_a_bad_name_is_refused_by_every_method_that_takes_one(start_platform: StartPlatform) -> None:
    """Promise 13."""
    platform = await start_platform()
    token = platform.token_for(ADMIN)
    tried = 0
    for method in ours(await found(platform)):
        for field in ("name", "parent"):
            if field not in method.descriptor.input_type.fields_by_name:
                continue
            for kind, name in BAD_NAMES.items():
                for text in (name, f"projects/{name}", f"projects/default/models/{name}"):
                    await _refused(method, token, field, text, f"{method.path} {field}: {kind}")
                    tried += 1
    assert tried > 1000
    await assert_all_serve(platform)


async def test_a_page_token_that_was_never_given_is_refused_by_every_list(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    token = platform.token_for(ADMIN)
    for method in ours(await found(platform)):
        if "page_token" in method.descriptor.input_type.fields_by_name:
            for kind, text in BAD_PAGE_TOKENS.items():
                await _refused(method, token, "page_token", text, f"{method.path} page_token: {kind}")


async def _refused(method: Method, token: str, field: str, text: str, what: str) -> None:
    request: Message = GetMessageClass(method.descriptor.input_type)()
    setattr(request, field, text)
    error = await call_raw(method.address, method.path, request.SerializeToString(), token=token)
    assert error is not None, f"{what} was taken"
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, f"{what}: {error}"
    clean_error(error)


async def test_a_method_that_is_not_there_is_a_clean_error(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    for service in platform.services.values():
        for path in ("/headwater.registry.v1.ModelService/Nothing", "/nothing.Nothing/Nothing", "/x"):
            error = await call_raw(service.address, path, token=platform.token_for(ADMIN))
            assert error is not None
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            clean_error(error)


@pytest.mark.parametrize("kind", ["over the limit", "gzip bomb"])
async def test_a_message_over_the_limit_is_refused_and_the_others_go_on(
    start_platform: StartPlatform, kind: str
) -> None:
    platform = await start_platform()
    body = bytes(80 * 2**20)
    compression = grpc.Compression.Gzip if kind == "gzip bomb" else grpc.Compression.NoCompression
    method_of = {method.service: method for method in await found(platform)}
    for name, service in platform.services.items():
        error = await call_raw(
            service.address,
            method_of[name].path,
            body,
            token=platform.token_for(ADMIN),
            compression=compression,
            timeout=60,
        )
        assert error is not None, name
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, f"{name}: {error}"
    await assert_all_serve(platform)


async def test_too_much_metadata_is_refused(start_platform: StartPlatform) -> None:
    platform = await start_platform()
    for method in {method.service: method for method in await found(platform)}.values():
        error = await call_raw(
            method.address, method.path, token=platform.token_for(ADMIN), metadata=OVERSIZED_METADATA
        )
        assert error is not None
        assert error.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN)
    await assert_all_serve(platform)

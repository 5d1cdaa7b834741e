"""What happens around every gRPC call: the bad inputs of the gRPC edge, errors, deadlines (promises 8, 9, 14, 16)."""

import asyncio
import ctypes
import gzip
import time
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import grpc.aio
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing import Connect, TokenFor
from chassis.testing.bad_inputs import GARBAGE_BODIES, OVERSIZED_METADATA, bad_tokens
from chassis.testing.edge import call_raw, clean_error
from chassis.testing.waiting import eventually
from headwater.errors import (
    DeadlineExceeded,
    HeadwaterError,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
)
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import PREFIX, SECRET, TinyArtifacts

Stub: TypeAlias = "artifacts_pb2_grpc.ArtifactServiceAsyncStub"
Get = artifacts_pb2.GetArtifactRequest
Download = artifacts_pb2.DownloadArtifactRequest
Upload = artifacts_pb2.UploadArtifactRequest


@pytest.fixture(autouse=True)
async def serving_as_before(tiny: Service, token_for: TokenFor) -> AsyncIterator[None]:
    """After every bad input: SERVING, the same answer, and the memory back within 64 MiB."""
    before = psutil.Process().memory_info().rss
    yield
    if tiny.draining.is_set():
        return
    async with grpc.aio.insecure_channel(tiny.address) as channel:
        probe: Any = health_pb2_grpc.HealthStub(channel)
        health = await probe.Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert await call_raw(tiny.address, f"{PREFIX}/GetArtifact", b"\x0a\x01x", token=token_for(Role.READER)) is None
    ctypes.CDLL(None).malloc_trim(0)  # the client is in this process, too, and what it has freed is no leak
    assert psutil.Process().memory_info().rss - before < 64 * 2**20


async def test_every_method_of_every_service_is_refused_without_a_token(tiny: Service) -> None:
    public = {path for path, role in tiny.methods.items() if role is None}
    assert public == {f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")}
    for path in tiny.methods.keys() - public:
        error = await call_raw(tiny.address, path)
        assert error is not None, path
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED, path
        assert clean_error(error).reason == "UNAUTHENTICATED"


async def test_no_bad_token_opens_a_method(tiny: Service, authenticator: Authenticator) -> None:
    for kind, token in bad_tokens(authenticator).items():
        error = await call_raw(tiny.address, f"{PREFIX}/GetArtifact", b"\x0a\x01x", token=token)
        assert error is not None, kind
        # 20 KiB of token are refused by the limit on metadata already.
        expected = grpc.StatusCode.RESOURCE_EXHAUSTED if kind == "20 KiB" else grpc.StatusCode.UNAUTHENTICATED
        assert error.code() is expected, kind


async def test_a_reader_may_read_and_not_write(tiny: Service, connect: Connect) -> None:
    reader: Stub = artifacts_pb2_grpc.ArtifactServiceStub(connect(tiny.address, Role.READER))
    assert (await reader.GetArtifact(Get(name="caller"))).created_by == "tester"
    with pytest.raises(PermissionDenied) as caught:
        await reader.UploadArtifact(iter([Upload(data=b"x")]))
    assert caught.value.metadata == {"role": "writer"}


async def test_an_unknown_method_is_unimplemented_and_says_so_only_to_callers_with_a_token(
    tiny: Service, token_for: TokenFor
) -> None:
    error = await call_raw(tiny.address, "/nobody.Knows/This")
    assert error is not None
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    error = await call_raw(tiny.address, f"{PREFIX}/Nothing", token=token_for(Role.READER))
    assert error is not None
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert clean_error(error).reason == "UNKNOWN_METHOD"


@pytest.mark.parametrize("body", GARBAGE_BODIES.values(), ids=GARBAGE_BODIES)
@pytest.mark.parametrize("method", ["GetArtifact", "UploadArtifact", "DownloadArtifact"])
async def test_protobuf_garbage_is_an_invalid_argument(
    tiny: Service, token_for: TokenFor, method: str, body: bytes
) -> None:
    error = await call_raw(tiny.address, f"{PREFIX}/{method}", body, token=token_for(Role.ADMIN))
    assert error is not None
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert clean_error(error).reason == "MALFORMED_MESSAGE"


async def test_two_hundred_levels_of_nesting_are_refused(tiny: Service, token_for: TokenFor) -> None:
    body = b"\x23" * 200 + b"\x24" * 200  # groups within groups
    error = await call_raw(tiny.address, f"{PREFIX}/GetArtifact", body, token=token_for(Role.READER))
    assert clean_error(error).reason == "MALFORMED_MESSAGE"


async def test_nul_in_a_text_is_refused_naming_the_field(stub: Stub) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await stub.GetArtifact(Get(name="a\0b"))
    assert caught.value.reason == "INVALID_FIELDS"
    assert caught.value.violations == (("name", "must not contain NUL"),)
    with pytest.raises(InvalidArgument) as caught:
        await stub.UploadArtifact(iter([Upload(header=artifacts_pb2.UploadArtifactHeader(filename="a\0"))]))
    assert caught.value.violations == (("header.filename", "must not contain NUL"),)


async def test_zero_bytes_in_data_are_just_data(stub: Stub) -> None:
    assert (await stub.UploadArtifact(iter([Upload(data=bytes(1000))]))).size_bytes == 1000


async def test_a_broken_rule_of_the_proto_names_the_field_in_every_kind_of_call(stub: Stub) -> None:
    too_long = "x" * 2000
    with pytest.raises(InvalidArgument) as caught:
        await stub.GetArtifact(Get(name=too_long))
    assert [field for field, _ in caught.value.violations] == ["name"]
    with pytest.raises(InvalidArgument) as caught:
        async for _ in stub.DownloadArtifact(Download(name=too_long)):
            pass
    assert [field for field, _ in caught.value.violations] == ["name"]
    with pytest.raises(InvalidArgument) as caught:
        await stub.UploadArtifact(iter([Upload(data=b"x"), Upload()]))
    assert [field for field, _ in caught.value.violations] == ["part"]


async def test_too_much_metadata_is_refused(tiny: Service, token_for: TokenFor) -> None:
    error = await call_raw(
        tiny.address,
        f"{PREFIX}/GetArtifact",
        b"\x0a\x01x",
        metadata=OVERSIZED_METADATA,
        token=token_for(Role.READER),
    )
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_over_the_limit_is_refused(tiny: Service, token_for: TokenFor) -> None:
    body = Upload(data=bytes(70_000)).SerializeToString()
    error = await call_raw(tiny.address, f"{PREFIX}/UploadArtifact", body, token=token_for(Role.ADMIN))
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_gzip_bomb_is_refused(tiny: Service, token_for: TokenFor) -> None:
    body = Upload(data=bytes(30_000_000)).SerializeToString()
    assert len(gzip.compress(body)) < 64 * 1024
    error = await call_raw(
        tiny.address,
        f"{PREFIX}/UploadArtifact",
        body,
        token=token_for(Role.ADMIN),
        compression=grpc.Compression.Gzip,
    )
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unexpected_exception_tells_a_trace_id_and_nothing_else(stub: Stub) -> None:
    async def get() -> object:
        return await stub.GetArtifact(Get(name="boom"))

    async def download() -> object:
        return [part async for part in stub.DownloadArtifact(Download(name="boom"))]

    async def upload() -> object:
        return await stub.UploadArtifact(iter([Upload(header=artifacts_pb2.UploadArtifactHeader(filename="boom"))]))

    for call in (get, download, upload):
        with pytest.raises(Internal) as caught:
            await call()
        assert caught.value.reason == "INTERNAL"
        assert len(caught.value.trace_id) == 32
        assert caught.value.trace_id in caught.value.message
        assert not any(word in caught.value.message for word in SECRET.split())


async def test_an_error_of_the_domain_arrives_with_its_class_reason_and_values(stub: Stub) -> None:
    for call in (stub.GetArtifact(Get(name="missing")), anext(aiter(stub.DownloadArtifact(Download(name="missing"))))):
        with pytest.raises(NotFound) as caught:
            await call
        assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert len(caught.value.trace_id) == 32
    with pytest.raises(NotFound) as caught:
        await stub.GetArtifact(Get(name="missing"))
    assert caught.value.metadata["colour"] == "grün"
    assert len(caught.value.metadata["artifact"]) < 200, "what was sent in does not come back in full"


async def test_a_status_set_by_hand_passes_as_it_is(stub: Stub) -> None:
    with pytest.raises(OutOfRange, match="by hand"):
        await stub.GetArtifact(Get(name="abort"))


async def test_an_answer_comes_within_the_deadline_and_the_work_is_cancelled(
    stub: Stub, artifacts: TinyArtifacts
) -> None:
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await stub.GetArtifact(Get(name="slow"), timeout=0.3)
    assert time.monotonic() - begun < 0.5
    assert artifacts.cancelled == 1


async def test_the_deadline_is_told_by_the_server_with_a_reason(tiny: Service, token_for: TokenFor) -> None:
    body = Get(name="slow").SerializeToString()
    error = await call_raw(tiny.address, f"{PREFIX}/GetArtifact", body, token=token_for(Role.READER), timeout=0.3)
    assert error is not None
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert clean_error(error).reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("timeout", [0.001, 0.0, -1.0])
async def test_a_deadline_that_cannot_be_met_is_exceeded(
    tiny: Service, token_for: TokenFor, artifacts: TinyArtifacts, timeout: float
) -> None:
    body = Get(name="slow").SerializeToString()
    begun = time.monotonic()
    error = await call_raw(tiny.address, f"{PREFIX}/GetArtifact", body, token=token_for(Role.READER), timeout=timeout)
    assert error is not None
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 0.3


async def test_a_deadline_a_year_away_is_no_trouble(stub: Stub) -> None:
    assert (await stub.GetArtifact(Get(name="x"), timeout=365 * 86_400)).name == "x"


async def test_a_client_that_goes_away_cancels_the_work(stub: Stub, artifacts: TinyArtifacts) -> None:
    call = asyncio.ensure_future(stub.GetArtifact(Get(name="slow")))
    await artifacts.running.wait()
    call.cancel()
    await eventually(lambda: artifacts.cancelled == 1, timeout_s=5)

    artifacts.running.clear()
    stream = stub.DownloadArtifact(Download(name="slow"))
    await anext(aiter(stream))
    await artifacts.running.wait()
    stream.cancel()
    await eventually(lambda: artifacts.cancelled == 2, timeout_s=5)


async def _refusal(stub: Stub) -> HeadwaterError | None:
    try:
        await stub.GetArtifact(Get(name="x"))
    except ResourceExhausted as error:
        return error
    return None


async def test_one_call_too_many_is_refused_with_a_hint_and_the_others_finish(
    stub: Stub, artifacts: TinyArtifacts
) -> None:
    calls = [asyncio.ensure_future(stub.GetArtifact(Get(name="slow"))) for _ in range(3)]
    refusal = await eventually(lambda: _refusal(stub), timeout_s=5)
    assert refusal is not None
    assert (refusal.reason, refusal.retry_after_ms) == ("TOO_MANY_CALLS", 1000)
    artifacts.go_on.set()
    assert [answer.name for answer in await asyncio.gather(*calls)] == ["slow"] * 3


async def test_reflection_lists_the_services(tiny: Service, connect: Connect) -> None:
    opened: Any = connect(tiny.address, Role.READER)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    calls: Any = reflection_pb2_grpc.ServerReflectionStub(opened)
    answers = [answer async for answer in calls.ServerReflectionInfo(iter([request]))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names >= {"headwater.registry.v1.ArtifactService", "grpc.health.v1.Health"}


async def test_an_error_within_a_stream_of_answers_comes_after_the_answers(stub: Stub) -> None:
    answers = aiter(stub.DownloadArtifact(Download(name="boom")))
    assert (await anext(answers)).data == b"\x00"
    with pytest.raises(Internal):
        await anext(answers)

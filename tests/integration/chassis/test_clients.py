"""The client side: channels that carry the token, retry where that is safe, and raise our errors; one trace across."""

# ruff: noqa: N802 (the names are those of the protos)

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import Service, ServiceSettings
from chassis.auth import Role, current_token
from chassis.rpc.client import channel
from chassis.testing import StartService, TokenFor
from chassis.testing.waiting import eventually
from headwater import artifacts, rpc
from headwater.client import Connection, Endpoints
from headwater.errors import Aborted, DeadlineExceeded, InvalidArgument, NotFound, Unauthenticated, Unavailable
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import TinyArtifacts, tiny_service

Get = artifacts_pb2.GetArtifactRequest
Upload = artifacts_pb2.UploadArtifactRequest
Download = artifacts_pb2.DownloadArtifactRequest


@pytest.fixture
def sync_stub(tiny: Service, token_for: TokenFor) -> Iterator[artifacts_pb2_grpc.ArtifactServiceStub]:
    with rpc.channel(tiny.address, token=token_for(Role.ADMIN)) as opened:
        yield artifacts_pb2_grpc.ArtifactServiceStub(opened)


async def test_the_synchronous_channel_does_all_kinds_of_calls(
    sync_stub: artifacts_pb2_grpc.ArtifactServiceStub,
) -> None:
    def work() -> None:
        assert sync_stub.GetArtifact(Get(name="x")).name == "x"
        assert sync_stub.UploadArtifact(iter([Upload(data=b"abc"), Upload(data=b"d")])).size_bytes == 4
        assert [part.data for part in sync_stub.DownloadArtifact(Download(name="x"))] == [b"\0", b"\1", b"\2"]
        with pytest.raises(NotFound) as caught:
            sync_stub.GetArtifact(Get(name="missing"))
        assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert len(caught.value.trace_id) == 32
        with pytest.raises(NotFound):
            list(sync_stub.DownloadArtifact(Download(name="missing")))
        with pytest.raises(InvalidArgument):
            sync_stub.UploadArtifact(iter([Upload()]))
        with pytest.raises(DeadlineExceeded):
            sync_stub.GetArtifact(Get(name="slow"), timeout=0.1)

    await asyncio.to_thread(work)


async def test_the_asynchronous_channel_does_all_kinds_of_calls(
    stub: "artifacts_pb2_grpc.ArtifactServiceAsyncStub",
) -> None:
    assert (await stub.GetArtifact(Get(name="x"))).name == "x"
    call: Any = stub.UploadArtifact()
    await call.write(Upload(data=b"abc"))
    await call.done_writing()
    assert (await call).size_bytes == 3
    stream: Any = stub.DownloadArtifact(Download(name="x"))
    assert (await stream.read()).data == b"\0"
    assert (await stream.read()).data == b"\1"
    assert [part.data async for part in stub.DownloadArtifact(Download(name="x"))] == [b"\0", b"\1", b"\2"]
    with pytest.raises(NotFound):
        await stub.DownloadArtifact(Download(name="missing")).read()


async def test_a_token_may_be_renewed_between_calls(tiny: Service, token_for: TokenFor) -> None:
    tokens = [token_for(Role.READER), "stale", token_for(Role.READER)]
    async with rpc.aio_channel(tiny.address, token=lambda: tokens.pop(0)) as opened:
        stub = artifacts_pb2_grpc.ArtifactServiceStub(opened)
        assert (await stub.GetArtifact(Get(name="x"))).name == "x"
        with pytest.raises(Unauthenticated):
            await stub.GetArtifact(Get(name="x"))
        assert (await stub.GetArtifact(Get(name="x"))).name == "x"


class Flaky(TinyArtifacts):
    """Away for the first two calls."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def GetArtifact(self, request: artifacts_pb2.GetArtifactRequest, context: Any) -> artifacts_pb2.Artifact:
        self.asked += 1
        if self.asked < 3:
            raise Unavailable()
        if request.name == "lost":
            raise Aborted()
        return await super().GetArtifact(request, context)


async def test_a_read_that_found_the_service_away_is_repeated_and_nothing_else_is() -> None:
    flaky = Flaky()  # type: ignore[abstract]
    service = tiny_service(ServiceSettings(), flaky)
    await service.start()
    async with rpc.aio_channel(service.address) as opened:
        stub = artifacts_pb2_grpc.ArtifactServiceStub(opened)
        assert (await stub.GetArtifact(Get(name="x"))).name == "x"
        assert flaky.asked == 3
        with pytest.raises(Aborted):
            await stub.GetArtifact(Get(name="lost"))
        assert flaky.asked == 4
        flaky.asked = 0
        with rpc.channel(service.address) as blocking:
            got = await asyncio.to_thread(artifacts_pb2_grpc.ArtifactServiceStub(blocking).GetArtifact, Get(name="x"))
        assert got.name == "x"
    await service.stop()


class Restarting(TinyArtifacts):
    """Away for the first two uploads, whose bytes it has begun to take."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def UploadArtifact(self, request_iterator: Any, context: Any) -> artifacts_pb2.Artifact:
        self.asked += 1
        if self.asked < 3:
            await anext(request_iterator)
            raise Unavailable()
        return artifacts_pb2.Artifact(size_bytes=sum([len(message.data) async for message in request_iterator]))


async def test_a_small_file_is_sent_again_when_the_service_was_away(tmp_path: Path) -> None:
    """It is stored by its digest, so that sending it twice does no harm."""
    file = tmp_path / "model.bin"
    file.write_bytes(bytes(3 * 2**20))
    restarting = Restarting()  # type: ignore[abstract]
    service = tiny_service(ServiceSettings(), restarting)
    await service.start()
    with Connection(Endpoints(registry=service.address)) as connection:
        stored = await asyncio.to_thread(artifacts.upload, connection, file)
    await service.stop()
    assert (stored.size_bytes, restarting.asked) == (3 * 2**20, 3)


async def test_a_service_that_is_not_there_is_unavailable_within_the_deadline() -> None:
    begun = time.monotonic()
    async with rpc.aio_channel("127.0.0.1:1", timeout_s=1) as opened:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
            await artifacts_pb2_grpc.ArtifactServiceStub(opened).GetArtifact(Get(name="x"))
    assert time.monotonic() - begun < 1.5


class Relay(TinyArtifacts):
    """Asks the next service, in the caller's name."""

    def __init__(self, address: str, settings: ServiceSettings) -> None:
        super().__init__()
        self.channel = channel(address, token=current_token, settings=settings)
        self.next = artifacts_pb2_grpc.ArtifactServiceStub(self.channel)

    async def GetArtifact(self, request: artifacts_pb2.GetArtifactRequest, context: Any) -> artifacts_pb2.Artifact:
        return await self.next.GetArtifact(request)


@pytest.fixture
async def relay(start_service: StartService, tiny: Service) -> Service:
    """A service in front of ``tiny``."""

    async def build(settings: ServiceSettings) -> Service:
        relay = Relay(tiny.address, settings)  # type: ignore[abstract]
        service = tiny_service(settings, relay, "relay")
        service.on_close(relay.channel.close)
        return service

    return await start_service(build, ServiceSettings, database_url="", redis_url="")


async def test_caller_trace_deadline_and_error_cross_two_services(
    relay: Service, tiny: Service, artifacts: TinyArtifacts, token_for: TokenFor
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    relay.trace_with(provider)
    tiny.trace_with(provider)
    async with rpc.aio_channel(relay.address, token=token_for(Role.READER, subject="ada")) as opened:
        stub = artifacts_pb2_grpc.ArtifactServiceStub(opened)
        assert (await stub.GetArtifact(Get(name="x"))).created_by == "ada"
        inner, outer = exporter.get_finished_spans()
        assert inner.context.trace_id == outer.context.trace_id
        assert inner.parent is not None
        assert inner.parent.span_id == outer.context.span_id
        assert inner.attributes is not None
        assert inner.attributes["rpc.response.status_code"] == "OK"

        with pytest.raises(NotFound) as caught:
            await stub.GetArtifact(Get(name="missing"))
        assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert int(caught.value.trace_id, 16) == exporter.get_finished_spans()[-1].context.trace_id

        with pytest.raises(DeadlineExceeded):
            await stub.GetArtifact(Get(name="slow"), timeout=0.4)
        await eventually(lambda: artifacts.cancelled == 1, timeout_s=2)


async def test_a_plain_grpc_client_sees_the_same_status(tiny: Service, token_for: TokenFor) -> None:
    async with grpc.aio.insecure_channel(tiny.address) as plain:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await artifacts_pb2_grpc.ArtifactServiceStub(plain).GetArtifact(
                Get(name="missing"), metadata=[("authorization", f"Bearer {token_for(Role.READER)}")]
            )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    error = rpc.from_rpc_error(caught.value)
    assert isinstance(error, NotFound)
    assert error.reason == "ARTIFACT_NOT_FOUND"

"""A service from start to end: preparations, readiness, drain, exit codes (promises 10, 11, 14)."""

# ruff: noqa: N802 (the names are those of the protos)

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import grpc.aio
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis import Service, ServiceSettings
from chassis.auth import Authenticator
from chassis.errors import StartupError
from chassis.sockets import PortInUse
from chassis.testing import StartService
from chassis.testing.waiting import eventually
from headwater.errors import Unavailable
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import SmallLimits, TinyArtifacts, tiny_service

Stub: TypeAlias = "artifacts_pb2_grpc.ArtifactServiceAsyncStub"
Get = artifacts_pb2.GetArtifactRequest
Health = health_pb2.HealthCheckResponse
HEALTH: Any = health_pb2.DESCRIPTOR.services_by_name["Health"]
NAME = "headwater.registry.v1.ArtifactService"


class Dependency:
    """Something that can be away."""

    def __init__(self) -> None:
        self.there = True
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if not self.there:
            raise ConnectionError("password=hunter2 at /var/run/db")


async def health(service: Service, name: str) -> int:
    async with grpc.aio.insecure_channel(service.address) as channel:
        probe: Any = health_pb2_grpc.HealthStub(channel)
        answer = await probe.Check(health_pb2.HealthCheckRequest(service=name))
        return int(answer.status)


async def ok(service: Service, path: str = "/ok") -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{service.admin_port}{path}")


@pytest.fixture
async def offline(artifacts: TinyArtifacts) -> AsyncIterator[Service]:
    """The tiny service without authentication, not started."""
    service = tiny_service(SmallLimits(), artifacts)
    yield service
    artifacts.go_on.set()
    await service.stop()


async def test_a_dependency_that_goes_away_changes_readiness_and_never_liveness(offline: Service) -> None:
    dependency = Dependency()
    offline.add_check("database", dependency.check)
    await offline.start()
    assert offline.ready
    assert (await ok(offline, "/ok/ready")).status_code == 200

    dependency.there = False
    await eventually(lambda: not offline.ready, timeout_s=5)
    answer = await ok(offline)
    assert answer.status_code == 200
    assert answer.json()["ready"] is False
    assert answer.json()["checks"]["database"].startswith("away for")
    assert "hunter2" not in answer.text
    assert (await ok(offline, "/ok/ready")).status_code == 503
    await eventually(lambda: _is(health(offline, NAME), Health.NOT_SERVING), timeout_s=5)
    assert await health(offline, "") == Health.NOT_SERVING
    assert await health(offline, "liveness") == Health.SERVING

    dependency.there = True
    await eventually(lambda: _is(health(offline, NAME), Health.SERVING), timeout_s=5)


async def _is(call: "asyncio.Future[int] | object", wanted: int) -> bool:
    return bool(await call == wanted)  # type: ignore[misc]


async def test_a_check_that_hangs_counts_as_away(offline: Service) -> None:
    offline.add_check("stuck", asyncio.Event().wait)  # type: ignore[arg-type]
    begun = time.monotonic()
    await offline.start()
    assert time.monotonic() - begun < 4
    assert not offline.ready


async def test_health_is_not_found_for_a_service_that_is_not_here(offline: Service) -> None:
    await offline.start()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health(offline, "nobody.Knows")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_calls_wait_outside_until_the_preparations_have_succeeded(offline: Service) -> None:
    attempts = 0

    async def migrate() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise ConnectionError("the database is not there yet")

    offline.add_preparation("migrations", migrate)
    await offline.start()
    assert (await ok(offline)).json()["checks"] == {"migrations": "not done yet"}
    async with grpc.aio.insecure_channel(offline.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await artifacts_pb2_grpc.ArtifactServiceStub(channel).GetArtifact(Get(name="x"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await eventually(lambda: offline.ready, timeout_s=5)
        assert (await artifacts_pb2_grpc.ArtifactServiceStub(channel).GetArtifact(Get(name="x"))).name == "x"
    assert attempts == 3


async def test_a_background_task_that_fails_runs_again_and_is_cancelled_at_the_end(offline: Service) -> None:
    events: list[str] = []

    async def collect() -> None:
        events.append("run")
        if len(events) == 1:
            raise RuntimeError("once")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def close(name: str) -> None:
        events.append(name)

    offline.add_background("collector", collect)
    offline.on_close(lambda: close("opened first"))
    offline.on_close(lambda: close("opened last"))
    await offline.start()
    await eventually(lambda: events == ["run", "run"], timeout_s=5)
    await offline.stop()
    assert events == ["run", "run", "cancelled", "opened last", "opened first"]


async def test_a_drain_tells_at_once_and_lets_calls_in_flight_finish(
    offline: Service, artifacts: TinyArtifacts
) -> None:
    await offline.start()
    async with grpc.aio.insecure_channel(offline.address) as channel:
        stub = artifacts_pb2_grpc.ArtifactServiceStub(channel)
        probe: Any = health_pb2_grpc.HealthStub(channel)
        watch = probe.Watch(health_pb2.HealthCheckRequest(service=NAME))
        assert (await watch.read()).status == Health.SERVING
        call = asyncio.ensure_future(_answer(stub))
        await artifacts.running.wait()

        stopping = asyncio.create_task(offline.stop())
        begun = time.monotonic()
        assert (await watch.read()).status == Health.NOT_SERVING
        assert (await ok(offline, "/ok/ready")).json()["checks"] == {"drain": "on"}
        assert time.monotonic() - begun < 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with grpc.aio.insecure_channel(offline.address) as late:
                await artifacts_pb2_grpc.ArtifactServiceStub(late).GetArtifact(Get(name="late"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not stopping.done()

        artifacts.go_on.set()
        assert await call == "slow"
        async with asyncio.timeout(2):
            await stopping


async def _answer(stub: Stub) -> str:
    return (await stub.GetArtifact(Get(name="slow"))).name


async def test_the_grace_time_ends_a_call_that_does_not(artifacts: TinyArtifacts) -> None:
    service = tiny_service(SmallLimits(grace_s=0.2), artifacts)
    await service.start()
    async with grpc.aio.insecure_channel(service.address) as channel:
        call = asyncio.ensure_future(_answer(artifacts_pb2_grpc.ArtifactServiceStub(channel)))
        await artifacts.running.wait()
        begun = time.monotonic()
        await service.stop()
        assert time.monotonic() - begun < 2
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    assert artifacts.cancelled == 1


async def test_a_stopped_service_is_away_for_its_clients(start_service: StartService, offline: Service) -> None:
    from headwater import rpc

    await offline.start()
    address = offline.address
    await offline.stop()
    async with rpc.aio_channel(address, timeout_s=2) as channel:
        with pytest.raises(Unavailable, match=address):
            await artifacts_pb2_grpc.ArtifactServiceStub(channel).GetArtifact(Get(name="x"))


async def test_without_authentication_only_loopback_is_listened_on(artifacts: TinyArtifacts) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(StartupError, match="HEADWATER_AUTH_KEY_FILE"):
            tiny_service(ServiceSettings(host=host), artifacts)
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        tiny_service(ServiceSettings(host=host), artifacts)


@pytest.mark.parametrize("setting", ["port", "admin_port"])
async def test_a_port_in_use_is_told_with_the_setting_to_change(artifacts: TinyArtifacts, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service = tiny_service(SmallLimits(**{setting: taken.getsockname()[1]}), artifacts)
        with pytest.raises(PortInUse, match=f"HEADWATER_{setting.upper()}"):
            await service.start()
        await service.stop()


async def test_a_method_without_a_role_stops_the_start() -> None:
    service = Service("health", ServiceSettings(), auth=Authenticator.disabled())
    with pytest.raises(StartupError, match="declares no role"):
        service.add_servicer(
            health_pb2_grpc.add_HealthServicer_to_server,
            _Health(),
            HEALTH,
        )
    await service.stop()


class _Health(health_pb2_grpc.HealthServicer):
    async def Check(self, request: object, context: object) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse()


async def test_a_method_that_would_block_stops_the_start() -> None:
    service = Service("tiny", ServiceSettings(), auth=Authenticator.disabled())
    with pytest.raises(StartupError, match="async def"):
        service.add_servicer(
            artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server,
            _Blocking(),  # type: ignore[abstract]
            artifacts_pb2.DESCRIPTOR.services_by_name["ArtifactService"],
        )
    await service.stop()


class _Blocking(artifacts_pb2_grpc.ArtifactServiceServicer):
    def GetArtifact(self, request: object, context: object) -> artifacts_pb2.Artifact:
        return artifacts_pb2.Artifact()


PROGRAM = """
from chassis import run
from tests.integration.chassis.tiny_service import SmallLimits, TinyArtifacts, tiny_service

async def build(settings):
    return tiny_service(settings, TinyArtifacts())

if __name__ == "__main__":
    run(build, SmallLimits)
"""


def start(tmp_path: Path, **environment: str) -> "subprocess.Popen[str]":
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, str(program)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{root}:{root / 'libs'}", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_bad_setting_ends_the_process_with_one_sentence_and_code_2(tmp_path: Path) -> None:
    process = start(tmp_path, HEADWATER_PORT="seventy", HEADWATER_DATABASE_POOL_SIZE="0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "HEADWATER_PORT" in errors
    assert "HEADWATER_DATABASE_POOL_SIZE" in errors


def test_a_port_in_use_ends_the_process_with_one_sentence_and_code_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(tmp_path, HEADWATER_PORT=str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert "HEADWATER_PORT" in errors


def test_a_missing_key_file_ends_the_process_with_the_command_that_makes_one(tmp_path: Path) -> None:
    process = start(tmp_path, HEADWATER_AUTH_KEY_FILE=str(tmp_path / "none.key"), HEADWATER_HOST="0.0.0.0")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "chmod 600" in errors


def test_sigterm_drains_and_ends_with_code_0(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if '"listening"' in line:
            break
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert '"draining"' in errors
    assert "Traceback" not in errors

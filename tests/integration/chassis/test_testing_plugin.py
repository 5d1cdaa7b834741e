"""What the tests stand on: private servers that go when pytest goes, and a database for each test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from chassis import Service, ServiceSettings
from chassis.auth import Role
from chassis.embedded import EmbeddedPostgres
from chassis.testing import Connect, ManualClock, StartService, eventually
from chassis.testing.databases import Databases
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import TinyArtifacts, tiny_service

HANGING_TEST = '''
"""A test that starts both servers and never ends."""
import time

def test_hangs(postgres_url, redis_url, servers_dir):
    print("servers", servers_dir, flush=True)
    time.sleep(600)
'''


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_server_outlives_pytest_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGING_TEST)
    servers, pids = _run_and_end(file, how)
    assert len(pids) == 2
    await eventually(lambda: not servers.exists())
    await eventually(lambda: not any(psutil.pid_exists(pid) and _is_server(pid) for pid in pids))


async def test_each_test_has_a_database_of_its_own(
    databases: Databases, postgres_server: EmbeddedPostgres, postgres_url: str
) -> None:
    another = databases.create_migrated()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE only_here ()")
    await connection.close()
    connection = await asyncpg.connect(another)
    assert await connection.fetchval("SELECT to_regclass('only_here')") is None
    databases.drop(another)  # although somebody is connected
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")


@pytest.fixture
def answers() -> Iterator[list[int]]:
    """What the service of the test below asked its database for when it closed; it is torn down after that."""
    answers: list[int] = []
    yield answers
    assert answers == [1]


async def test_a_started_service_keeps_its_storage_to_its_very_end(
    answers: list[int], start_service: StartService, connect: Connect
) -> None:
    async def build(settings: ServiceSettings) -> Service:
        async def ask_database() -> None:
            connection = await asyncpg.connect(settings.database_url)
            answers.append(await connection.fetchval("SELECT 1"))
            await connection.close()

        service = tiny_service(settings, TinyArtifacts())  # type: ignore[abstract]
        service.on_close(ask_database)
        return service

    service = await start_service(build, ServiceSettings)
    stub = artifacts_pb2_grpc.ArtifactServiceStub(connect(service.address, Role.READER))
    answer = await stub.GetArtifact(artifacts_pb2.GetArtifactRequest(name="caller"))
    assert answer.created_by == "tester"
    assert service.settings.redis_url.startswith("redis://")
    assert service.settings.authenticated


def test_a_manual_clock_moves_only_when_told(clock: ManualClock) -> None:
    before, monotonic = clock.now(), clock.monotonic()
    assert clock.now() == before
    clock.advance(90)
    assert (clock.now() - before).total_seconds() == 90
    assert clock.monotonic() - monotonic == 90


def test_no_setting_of_the_developer_reaches_a_test() -> None:
    assert [name for name in os.environ if name.startswith("HEADWATER_")] == []


def _run_and_end(file: Path, how: signal.Signals) -> tuple[Path, list[int]]:
    """Run pytest on ``file`` until its test hangs, end it, and return where its servers were, and their ids."""
    command = [sys.executable, "-m", "pytest", "-p", "chassis.testing", "-q", "-s", "-c", os.devnull, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = next(line for line in running.stdout if "servers" in line)
        servers = Path(line.split("servers ")[1].strip())
        pid_files = [*servers.rglob("postmaster.pid"), *servers.rglob("valkey.pid")]
        pids = [int(path.read_text().splitlines()[0]) for path in pid_files]
        running.send_signal(how)
        running.communicate()
    return servers, pids


def _is_server(pid: int) -> bool:
    process = psutil.Process(pid)
    return process.status() != psutil.STATUS_ZOMBIE and process.name() in ("postgres", "valkey-server")

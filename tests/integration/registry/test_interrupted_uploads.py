"""Uploads outlast a registry that is killed, a disk that is full and a connection that breaks (promises 1, 2 and 8)."""

import asyncio
import hashlib
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from chassis.auth import Role
from chassis.embedded.server import free_port
from chassis.testing import Connect, StartService, TokenFor
from chassis.testing.waiting import eventually
from headwater import artifacts
from headwater.client import Connection, Endpoints
from headwater.errors import HeadwaterError, ResourceExhausted
from headwater.registry.v1 import artifacts_pb2
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.integration.registry.client import DEFAULT, Client
from tests.integration.registry.processes import process, ready

pytestmark = pytest.mark.timeout(180)

MIB = 2**20
CONTENT = os.urandom(5 * MIB + 17)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
OPEN = artifacts_pb2.ArtifactUpload.STATE_OPEN
Write = artifacts_pb2.WriteArtifactUploadRequest
Chunks = AsyncIterator[Write]


@pytest.fixture
def port() -> int:
    """Where the registry listens, also when it comes back."""
    return free_port()


@pytest.fixture
def settings(postgres_url: str, auth_key_file: Path, blobs_dir: Path) -> dict[str, str]:
    """Of the process: this test's database and blobs."""
    return {
        "HEADWATER_DATABASE_URL": postgres_url,
        "HEADWATER_BLOBS_URL": blobs_dir.as_uri(),
        "HEADWATER_AUTH_KEY_FILE": str(auth_key_file),
        "HEADWATER_LOG_LEVEL": "ERROR",
    }


@pytest.fixture
def client(connect: Connect, port: int) -> Client:
    """An administrator's stubs."""
    return Client.on(connect(f"127.0.0.1:{port}"))


@pytest.fixture
def connection(port: int, token_for: TokenFor) -> Iterator[Connection]:
    """The published client, as a writer."""
    with Connection(Endpoints(registry=f"127.0.0.1:{port}"), token_for(Role.WRITER)) as connection:
        yield connection


async def _begin(client: Client) -> str:
    request = artifacts_pb2.CreateArtifactUploadRequest(
        parent=DEFAULT, filename="a.bin", digest=DIGEST, size_bytes=len(CONTENT)
    )
    return (await client.artifacts.CreateArtifactUpload(request)).name


async def _messages(name: str, begin: int, end: int, then: Callable[[], object] = lambda: None) -> Chunks:
    for start in range(begin, end, MIB // 4):
        data = CONTENT[start : min(start + MIB // 4, end)]
        yield Write(name=name, offset=begin, data=data) if start == begin else Write(data=data)
    waited = then()
    if asyncio.iscoroutine(waited):
        await waited


async def _write(client: Client, name: str, begin: int, end: int) -> artifacts_pb2.ArtifactUpload:
    return await client.artifacts.WriteArtifactUpload(_messages(name, begin, end))


async def _get(client: Client, name: str) -> artifacts_pb2.ArtifactUpload:
    return await client.artifacts.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=name))


async def _finish(client: Client, name: str) -> artifacts_pb2.Artifact:
    return await client.artifacts.FinishArtifactUpload(artifacts_pb2.FinishArtifactUploadRequest(name=name))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _staged(blobs_dir: Path) -> list[Path]:
    return _files(blobs_dir / "registry" / "staging")


def _limit_files_to(pid: int, size_bytes: int) -> None:
    """As if the disk had room for files of this size and no more."""
    _, highest = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, highest))


async def test_an_upload_goes_on_after_a_kill_in_the_middle_of_a_part_and_one_before_its_end(
    settings: dict[str, str], port: int, client: Client, blobs_dir: Path
) -> None:
    """What was acknowledged before is kept; of the part that was half on the disk nothing stays in the end."""
    async with process(port, settings) as registry:
        await ready(client)
        name = await _begin(client)
        assert (await _write(client, name, 0, 2 * MIB)).stored_bytes == 2 * MIB

        async def kill() -> None:
            await eventually(lambda: sum(file.stat().st_size for file in _staged(blobs_dir)) >= 4 * MIB - 8192)
            registry.kill()
            await asyncio.sleep(10)

        with pytest.raises(HeadwaterError):
            await client.artifacts.WriteArtifactUpload(_messages(name, 2 * MIB, 4 * MIB, kill))
        assert await registry.wait() == -9

    async with process(port, settings) as registry:
        await ready(client)
        stands = await _get(client, name)
        assert (stands.state, stands.stored_bytes) == (OPEN, 2 * MIB)
        await _write(client, name, 2 * MIB, len(CONTENT))
        registry.kill()

    async with process(port, settings):
        await ready(client)
        artifact = await _finish(client, name)
        assert await _finish(client, name) == artifact
        assert await client.download(artifact.name) == CONTENT
        assert [file.name for file in _files(blobs_dir)] == [DIGEST.removeprefix("sha256:")]


async def test_the_client_outlasts_a_registry_that_is_killed_and_comes_back(
    settings: dict[str, str], port: int, client: Client, connection: Connection, blobs_dir: Path, tmp_path: Path
) -> None:
    """It is killed while the first part is on its way, comes back, and is killed again while the parts are joined."""
    file = tmp_path / "model.bin"
    content = os.urandom(36 * MIB)
    file.write_bytes(content)
    async with process(port, settings) as first:
        await ready(client)
        sending = asyncio.create_task(asyncio.to_thread(artifacts.upload, connection, file))
        await eventually(lambda: _staged(blobs_dir) or sending.done(), every_s=0.005)
        first.kill()
    async with process(port, settings) as second:
        joining = blobs_dir / "registry" / "incoming"
        await eventually(lambda: _files(joining) or sending.done(), timeout_s=60, every_s=0.005)
        second.kill()
        await second.wait()
    async with process(port, settings):
        artifact = await sending
        assert artifact.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert await client.download(artifact.name) == content
        assert _staged(blobs_dir) == []


async def test_an_upload_goes_on_when_there_is_room_again(
    settings: dict[str, str], port: int, client: Client, blobs_dir: Path
) -> None:
    """Promise 8: first there is no room for a part, then none for the whole; each time it is said, and nothing by half
    stays."""
    async with process(port, settings) as registry:
        await ready(client)
        name = await _begin(client)
        await _write(client, name, 0, MIB)
        for room in (1, MIB // 2, 2 * MIB - 1):
            _limit_files_to(registry.pid, room)
            with pytest.raises(ResourceExhausted) as refused:
                await _write(client, name, MIB, 3 * MIB)
            assert refused.value.reason == "BLOB_STORE_FULL"
            assert (await _get(client, name)).stored_bytes == MIB
            assert sum(file.stat().st_size for file in _files(blobs_dir)) == MIB

        _limit_files_to(registry.pid, 4 * MIB)
        for begin, end in ((MIB, 3 * MIB), (3 * MIB, len(CONTENT))):
            await _write(client, name, begin, end)
        for refused_call in (_finish(client, name), client.upload(CONTENT)):
            with pytest.raises(ResourceExhausted) as refused:
                await refused_call
            assert refused.value.reason == "BLOB_STORE_FULL"
        assert (await _get(client, name)).state == OPEN
        assert sum(file.stat().st_size for file in _files(blobs_dir)) == len(CONTENT)

        _limit_files_to(registry.pid, resource.RLIM_INFINITY)
        artifact = await _finish(client, name)
        assert await client.upload(CONTENT) == artifact
        assert await client.download(artifact.name) == CONTENT
        assert [file.name for file in _files(blobs_dir)] == [DIGEST.removeprefix("sha256:")]
        assert registry.returncode is None


async def test_nothing_stays_of_what_a_silent_or_vanished_client_had_begun(
    start_service: StartService, connect: Connect, blobs_dir: Path
) -> None:
    """Promise 8: one stops in the midst of a part without a word, another hangs up; both can go on."""
    registry = await start_service(build, Settings, redis_url="", upload_idle_s=0.5, log_level="ERROR")
    client = Client.on(connect(registry.address))
    name = await _begin(client)
    await _write(client, name, 0, MIB)
    with pytest.raises(HeadwaterError) as silent:
        await client.artifacts.WriteArtifactUpload(_messages(name, MIB, 2 * MIB, lambda: asyncio.sleep(5)))
    assert silent.value.reason == "UPLOAD_IDLE"
    assert (await _get(client, name)).stored_bytes == MIB
    assert len(_staged(blobs_dir)) == 1

    call = client.artifacts.WriteArtifactUpload(_messages(name, MIB, 2 * MIB, lambda: asyncio.sleep(5)))
    await eventually(lambda: len(_staged(blobs_dir)) == 2)
    call.cancel()
    await eventually(lambda: len(_staged(blobs_dir)) == 1)
    await _write(client, name, MIB, len(CONTENT))
    assert (await _finish(client, name)).digest == DIGEST

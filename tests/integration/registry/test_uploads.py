"""Large files go up and down in pieces, through the client and a registry on files."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from chassis import Service
from chassis.auth import Role
from chassis.testing import StartService, TokenFor
from headwater import artifacts
from headwater.client import Connection, Endpoints
from headwater.errors import (
    Aborted,
    DataLoss,
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
)
from headwater.names import ArtifactName
from headwater.registry.v1 import artifacts_pb2
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.integration.registry.client import DEFAULT, Client

LARGE = os.urandom(40 * 2**20 + 17)
OTHER = f"sha256:{'0' * 64}"
Write = artifacts_pb2.WriteArtifactUploadRequest


@pytest_asyncio.fixture
async def registry(start_service: StartService, bucket: str) -> Service:
    """A registry that may import from one folder of a bucket."""
    return await start_service(
        build, Settings, redis_url="", upload_idle_s=0.5, log_level="ERROR", artifact_sources=f"s3://{bucket}/models/"
    )


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a bucket on loopback with an allowed and another object; the environment says where it is."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "someone"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="team")
    client.put_object(Bucket="team", Key="models/one/model.bin", Body=b"weights")
    client.put_object(Bucket="team", Key="private/key", Body=b"secret")
    yield "team"
    server.stop()


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Iterator[Connection]:
    """The published client, as a writer."""
    with Connection(Endpoints(registry=registry.address), token_for(Role.WRITER)) as connection:
        yield connection


async def _messages(name: str, offset: int, *chunks: bytes, pause_s: float = 0) -> AsyncIterator[Write]:
    for number, chunk in enumerate(chunks):
        yield Write(name=name, offset=offset, data=chunk) if number == 0 else Write(data=chunk)
        await asyncio.sleep(pause_s)


async def _begin(client: Client) -> artifacts_pb2.ArtifactUpload:
    request = artifacts_pb2.CreateArtifactUploadRequest(parent=DEFAULT, filename="a.bin")
    return await client.artifacts.CreateArtifactUpload(request)


async def test_a_large_file_goes_up_and_comes_down(connection: Connection, tmp_path: Path) -> None:
    """R-17: in parts of 32 MiB."""
    file, back = tmp_path / "model.bin", tmp_path / "back.bin"
    file.write_bytes(LARGE)
    stored = await asyncio.to_thread(artifacts.upload, connection, file)
    assert stored.digest == f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    assert await asyncio.to_thread(artifacts.upload, connection, file) == stored
    await asyncio.to_thread(artifacts.download, connection, ArtifactName.parse(stored.name), back)
    assert back.read_bytes() == LARGE


async def test_another_process_goes_on_where_the_first_was_cut(
    client: Client, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(LARGE)

    def cut(*_: object) -> None:
        raise BrokenPipeError

    with monkeypatch.context() as patched:
        patched.setattr(artifacts, "_send", cut)
        with pytest.raises(BrokenPipeError):
            await asyncio.to_thread(artifacts.upload, connection, file)
    digest = f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    begun = await asyncio.to_thread(artifacts._begin, connection, file, digest, len(LARGE), "default")
    part = LARGE[: 33 * 2**20]
    chunks = [part[start : start + 2**20] for start in range(0, len(part), 2**20)]
    await client.artifacts.WriteArtifactUpload(_messages(begun.name, 0, *chunks))
    assert (await asyncio.to_thread(artifacts.upload, connection, file)).digest == digest
    ended = await client.artifacts.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=begun.name))
    assert ended.state == artifacts_pb2.ArtifactUpload.STATE_FINISHED


async def test_two_processes_that_send_one_file_get_one_artifact(
    client: Client, connection: Connection, tmp_path: Path
) -> None:
    """They share the upload; whoever is slower finds it finished while it still sends."""
    file = tmp_path / "model.bin"
    file.write_bytes(LARGE)
    digest = f"sha256:{hashlib.sha256(LARGE).hexdigest()}"
    begun = await asyncio.to_thread(artifacts._begin, connection, file, digest, len(LARGE), "default")
    stored = await asyncio.to_thread(artifacts.upload, connection, file)
    await asyncio.to_thread(artifacts._send, connection, begun, file)  # as it stood before the other was done
    finish = artifacts_pb2.FinishArtifactUploadRequest(name=begun.name)
    assert await client.artifacts.FinishArtifactUpload(finish) == stored


async def test_bytes_at_another_place_are_refused_and_say_where_to_go_on(client: Client) -> None:
    begun = await _begin(client)
    await client.artifacts.WriteArtifactUpload(_messages(begun.name, 0, b"abc"))
    with pytest.raises(Aborted) as moved:
        await client.artifacts.WriteArtifactUpload(_messages(begun.name, 1, b"x"))
    assert (moved.value.reason, moved.value.metadata["stored_bytes"]) == ("ARTIFACT_UPLOAD_MOVED", "3")


async def test_requests_that_make_no_sense_are_refused(client: Client) -> None:
    begun = await _begin(client)

    async def nothing() -> AsyncIterator[Write]:
        for message in list[Write]():
            yield message

    async def named_twice() -> AsyncIterator[Write]:
        yield Write(name=begun.name, data=b"a")
        yield Write(name=begun.name, data=b"b")

    for messages in (nothing(), _messages("", 0, b"x"), named_twice(), _messages("projects/../x", 0, b"x")):
        with pytest.raises(InvalidArgument):
            await client.artifacts.WriteArtifactUpload(messages)
    with pytest.raises(DeadlineExceeded):
        await client.artifacts.WriteArtifactUpload(_messages(begun.name, 0, b"x", b"y", pause_s=2))
    found = await client.artifacts.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=begun.name))
    assert found.stored_bytes == 0


async def test_a_range_is_given_out(client: Client) -> None:
    stored = await client.upload(bytes(range(256)))

    async def read(offset: int, length: int) -> bytes:
        request = artifacts_pb2.DownloadArtifactRequest(name=stored.name, offset=offset, length=length)
        return b"".join([message.data async for message in client.artifacts.DownloadArtifact(request)])

    assert await read(10, 5) == bytes(range(10, 15))
    assert await read(250, 0) == bytes(range(250, 256))
    assert await read(250, 100) == bytes(range(250, 256))
    assert await read(256, 1) == b""
    with pytest.raises(OutOfRange):
        await read(257, 1)
    with pytest.raises(InvalidArgument):
        await read(-1, 1)


async def test_bytes_in_object_storage_are_fetched_by_the_registry(client: Client, connection: Connection) -> None:
    stored = await asyncio.to_thread(artifacts.import_, connection, "s3://team/models/one/model.bin")
    assert stored.digest == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert stored.filename == "model.bin"
    assert await client.download(stored.name) == b"weights"
    with pytest.raises(NotFound):
        await asyncio.to_thread(artifacts.import_, connection, "s3://team/models/one/none.bin")
    with pytest.raises(InvalidArgument) as refused:
        await asyncio.to_thread(artifacts.import_, connection, "s3://team/models/one/model.bin", digest=OTHER)
    assert refused.value.reason == "DIGEST_MISMATCH"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://team/private/key",
        "s3://team/models/../private/key",
        "s3://team/models//x",
        "s3://other/models/x",
        "s3://user@team/models/x",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gs://team/models/x",
        "s3://team/models/x?versionId=1",
        "s3://[/models/x",
        "s3://team",
    ],
)
async def test_no_other_place_is_read(uri: str, connection: Connection) -> None:
    """Promise 15."""
    with pytest.raises(PermissionDenied) as refused:
        await asyncio.to_thread(artifacts.import_, connection, uri)
    assert refused.value.reason == "ARTIFACT_SOURCE_NOT_ALLOWED"


async def test_a_damaged_download_is_not_kept(connection: Connection, tmp_path: Path, blobs_dir: Path) -> None:
    """Promise 5: whoever damages it, the registry or the way."""
    file = tmp_path / "a.bin"
    file.write_bytes(b"some bytes")
    stored = await asyncio.to_thread(artifacts.upload, connection, file)
    _damage(blobs_dir, ArtifactName.parse(stored.name))
    with pytest.raises(DataLoss):
        await asyncio.to_thread(artifacts.download, connection, ArtifactName.parse(stored.name), tmp_path / "b.bin")
    assert not any("b.bin" in name for name in os.listdir(tmp_path))


def _damage(blobs_dir: Path, artifact: ArtifactName) -> None:
    [blob] = blobs_dir.rglob(artifact.artifact)
    blob.chmod(0o644)
    blob.write_bytes(b"othr bytes")

"""Uploads and downloads, through real gRPC and files."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.blobs import LocalBlobs
from headwater.errors import DataLoss, DeadlineExceeded, InvalidArgument, NotFound, ResourceExhausted
from headwater.registry.v1 import artifacts_pb2
from tests.integration.registry.client import DEFAULT, Client

Upload = artifacts_pb2.UploadArtifactRequest
HEADER = Upload(header=artifacts_pb2.UploadArtifactHeader(parent=DEFAULT))


def _stored(blobs_dir: Path) -> list[Path]:
    return [path for path in blobs_dir.rglob("*") if path.is_file()]


async def _send(*messages: Upload, pause_s: float = 0) -> AsyncIterator[Upload]:
    for message in messages:
        yield message
        await asyncio.sleep(pause_s)


async def test_bytes_come_back_as_they_were(client: Client) -> None:
    content = bytes(range(256)) * 4000
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    stored = await client.upload(content, digest=digest, chunk=100_000)
    assert (stored.digest, stored.size_bytes) == (digest, len(content))
    assert stored.name == f"{DEFAULT}/artifacts/{digest.removeprefix('sha256:')}"
    assert await client.download(stored.name) == content


async def test_nothing_is_stored_when_the_digest_differs(client: Client, blobs_dir: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await client.upload(b"other bytes", digest=f"sha256:{'0' * 64}")
    assert refused.value.reason == "DIGEST_MISMATCH"
    assert _stored(blobs_dir) == []


async def test_nothing_is_stored_of_what_is_too_large(client: Client, blobs_dir: Path) -> None:
    with pytest.raises(ResourceExhausted) as refused:
        await client.upload(bytes(2**20 + 1), chunk=2**16)
    assert refused.value.reason == "ARTIFACT_TOO_LARGE"
    assert _stored(blobs_dir) == []


async def test_an_upload_that_pauses_too_long_is_given_up(client: Client, blobs_dir: Path) -> None:
    with pytest.raises(DeadlineExceeded) as refused:
        await client.artifacts.UploadArtifact(_send(HEADER, Upload(data=b"some"), pause_s=5))
    assert refused.value.reason == "UPLOAD_IDLE"
    assert _stored(blobs_dir) == []


async def test_an_upload_that_is_cut_stores_nothing(client: Client, blobs_dir: Path) -> None:
    """Promise 2."""
    half_way = asyncio.Event()

    async def messages() -> AsyncIterator[Upload]:
        yield HEADER
        yield Upload(data=bytes(500_000))
        half_way.set()
        await asyncio.sleep(5)

    call = client.artifacts.UploadArtifact(messages())
    await half_way.wait()
    call.cancel()
    for _ in range(100):
        await asyncio.sleep(0.02)
        if not _stored(blobs_dir):
            break
    assert _stored(blobs_dir) == []


async def test_an_upload_that_is_not_one_header_and_then_data_is_refused(client: Client, blobs_dir: Path) -> None:
    def header(**fields: str) -> Upload:
        return Upload(header=artifacts_pb2.UploadArtifactHeader(**{"parent": DEFAULT, **fields}))

    for messages in (
        (),
        (Upload(data=b"no header"),),
        (HEADER, HEADER),
        (HEADER, Upload()),
        (HEADER, Upload(data=bytes(4 * 2**20 + 1))),
        (header(parent="projects/.."),),
        (header(digest="sha256:abc"),),
        (header(filename="a" * 256),),
    ):
        with pytest.raises(InvalidArgument):
            await client.artifacts.UploadArtifact(_send(*messages))
    assert _stored(blobs_dir) == []


async def test_a_file_name_is_never_a_path(client: Client, blobs_dir: Path, tmp_path: Path) -> None:
    """Promise 13."""
    header = artifacts_pb2.UploadArtifactHeader(parent=DEFAULT, filename="../../escaped")
    stored = await client.artifacts.UploadArtifact(_send(Upload(header=header), Upload(data=b"x")))
    assert stored.filename == "../../escaped"
    assert [path.name for path in _stored(blobs_dir)] == [stored.digest.removeprefix("sha256:")]
    assert not list(tmp_path.parent.rglob("escaped"))


async def test_bytes_changed_at_rest_are_never_given_out_as_whole(client: Client, blobs_dir: Path) -> None:
    """Promise 5."""
    stored = await client.upload(b"some bytes")
    [path] = _stored(blobs_dir)
    path.chmod(0o600)
    path.write_bytes(b"some bytez")
    with pytest.raises(DataLoss):
        await client.download(stored.name)


async def test_bytes_that_are_gone_are_told_as_lost(client: Client, blobs_dir: Path) -> None:
    stored = await client.upload(b"some bytes")
    await LocalBlobs(blobs_dir / "registry").delete(stored.digest)
    with pytest.raises(DataLoss) as lost:
        await client.download(stored.name)
    assert lost.value.reason == "ARTIFACT_LOST"


async def test_an_artifact_is_its_projects_own(client: Client) -> None:
    stored = await client.upload(b"some bytes")
    elsewhere = stored.name.replace("default", "other")
    with pytest.raises(NotFound):
        await client.artifacts.GetArtifact(artifacts_pb2.GetArtifactRequest(name=elsewhere))
    with pytest.raises(NotFound):
        await client.download(elsewhere)

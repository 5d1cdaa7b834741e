"""Streams of uploads that nobody honest sends: each is refused for what it is, and nothing of it stays."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis import Service
from chassis.testing import Connect, StartService
from chassis.testing.waiting import eventually
from headwater.errors import HeadwaterError, ResourceExhausted
from headwater.registry.v1 import artifacts_pb2
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.integration.registry.client import DEFAULT, Client

CONTENT = os.urandom(300_000)
SIZE = len(CONTENT)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
OTHER = f"sha256:{'0' * 64}"
Upload = artifacts_pb2.ArtifactUpload
Write = artifacts_pb2.WriteArtifactUploadRequest


@pytest_asyncio.fixture
async def registry(start_service: StartService) -> Service:
    """A registry that keeps twenty uploads open, and collects all the time."""
    return await start_service(
        build, Settings, redis_url="", max_open_uploads=20, max_artifact_bytes=2**20, collect_interval_s=0.2,
        upload_idle_s=0.5, log_level="ERROR",
    )  # fmt: skip


async def _begin(client: Client, *, digest: str = DIGEST, size_bytes: int = SIZE) -> str:
    request = artifacts_pb2.CreateArtifactUploadRequest(
        parent=DEFAULT, filename="a.bin", digest=digest, size_bytes=size_bytes
    )
    return (await client.artifacts.CreateArtifactUpload(request)).name


async def _messages(*messages: Write) -> AsyncIterator[Write]:
    for message in messages:
        yield message


async def _write(client: Client, name: str, offset: int, data: bytes) -> Upload:
    return await client.artifacts.WriteArtifactUpload(_messages(Write(name=name, offset=offset, data=data)))


async def _finish(client: Client, name: str, digest: str = "") -> artifacts_pb2.Artifact:
    return await client.artifacts.FinishArtifactUpload(
        artifacts_pb2.FinishArtifactUploadRequest(name=name, digest=digest)
    )


async def _send(client: Client, name: str, data: bytes) -> artifacts_pb2.Artifact:
    await _write(client, name, 0, data)
    return await _finish(client, name)


async def _get(client: Client, name: str) -> Upload:
    return await client.artifacts.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=name))


def _files(blobs_dir: Path) -> list[str]:
    return sorted(path.name for path in blobs_dir.rglob("*") if path.is_file())


async def test_parts_that_do_not_follow_each_other_are_refused_and_the_right_ones_make_the_file(
    client: Client, blobs_dir: Path
) -> None:
    """Out of order, overlapping, repeated, with a hole, behind the end, and at places that are none."""
    name = await _begin(client)
    await _write(client, name, 0, CONTENT[:1000])
    for offset, data, reason in (
        (2000, CONTENT[2000:3000], "ARTIFACT_UPLOAD_MOVED"),
        (500, CONTENT[500:1500], "ARTIFACT_UPLOAD_MOVED"),
        (0, CONTENT[:1000], "ARTIFACT_UPLOAD_MOVED"),
        (1001, CONTENT[1001:], "ARTIFACT_UPLOAD_MOVED"),
        (SIZE, b"x", "ARTIFACT_UPLOAD_MOVED"),
        (2**62, b"x", "ARTIFACT_UPLOAD_MOVED"),
        (-1, b"x", "INVALID_FIELDS"),
        (1000, CONTENT[1000:] + b"x", "ARTIFACT_UPLOAD_TOO_LONG"),
    ):
        with pytest.raises(HeadwaterError) as refused:
            await _write(client, name, offset, data)
        assert refused.value.reason == reason, offset
        assert (await _get(client, name)).stored_bytes == 1000
    assert len(_files(blobs_dir)) == 1
    await _write(client, name, 1000, CONTENT[1000:])
    assert await client.download((await _finish(client, name)).name) == CONTENT
    assert _files(blobs_dir) == [DIGEST.removeprefix("sha256:")]


@pytest.mark.parametrize(
    ("declared", "sent", "reason", "state"),
    [
        ({"size_bytes": SIZE - 1}, CONTENT, "ARTIFACT_UPLOAD_TOO_LONG", Upload.STATE_OPEN),
        ({"size_bytes": SIZE + 1}, CONTENT, "ARTIFACT_UPLOAD_INCOMPLETE", Upload.STATE_OPEN),
        ({"size_bytes": 0}, bytes(2**20 + 1), "ARTIFACT_TOO_LARGE", Upload.STATE_OPEN),
        ({"size_bytes": 0}, b"", "DIGEST_MISMATCH", Upload.STATE_ABORTED),
        ({"size_bytes": SIZE}, b"", "ARTIFACT_UPLOAD_INCOMPLETE", Upload.STATE_OPEN),
        ({"digest": OTHER}, CONTENT, "DIGEST_MISMATCH", Upload.STATE_ABORTED),
    ],
)
async def test_bytes_that_are_not_the_declared_ones_are_no_artifact(
    client: Client, blobs_dir: Path, declared: dict[str, object], sent: bytes, reason: str, state: int
) -> None:
    """Declared digest or size that differs from the body (promises.md, Models)."""
    name = await _begin(client, **declared)  # type: ignore[arg-type]
    with pytest.raises(HeadwaterError) as refused:
        await _send(client, name, sent)
    assert refused.value.reason == reason
    assert (await _get(client, name)).state == state
    artifact = f"{DEFAULT}/artifacts/{DIGEST.removeprefix('sha256:')}"
    with pytest.raises(HeadwaterError) as none:
        await client.artifacts.GetArtifact(artifacts_pb2.GetArtifactRequest(name=artifact))
    assert none.value.reason == "ARTIFACT_NOT_FOUND"
    await client.artifacts.AbortArtifactUpload(artifacts_pb2.AbortArtifactUploadRequest(name=name))
    assert _files(blobs_dir) == []


async def test_a_file_of_no_bytes_is_an_artifact(client: Client) -> None:
    empty = f"sha256:{hashlib.sha256().hexdigest()}"
    name = await _begin(client, digest=empty, size_bytes=0)
    assert (await _finish(client, name, empty)).size_bytes == 0


async def test_many_open_uploads_and_streams_that_say_nothing_keep_nobody_else_from_working(
    registry: Service, client: Client, blobs_dir: Path
) -> None:
    """Promise 8: 200 uploads are begun where 20 are allowed, and 100 streams begin a part and stall."""

    answers = [
        answer
        for _ in range(20)
        for answer in await asyncio.gather(*(_begin(client) for _ in range(10)), return_exceptions=True)
    ]
    begun = [answer for answer in answers if isinstance(answer, str)]
    assert 20 <= len(begun) < 30
    for refused in answers:
        if not isinstance(refused, str):
            assert isinstance(refused, ResourceExhausted)
            assert (refused.reason, refused.metadata["max_open"]) == ("TOO_MANY_ARTIFACT_UPLOADS", "20")
            assert refused.retry_after_ms == 30_000

    async def stall(name: str) -> None:
        async def messages() -> AsyncIterator[Write]:
            yield Write(name=name, offset=0, data=CONTENT[:1000])
            await asyncio.sleep(60)

        with pytest.raises(HeadwaterError) as refused:
            await client.artifacts.WriteArtifactUpload(messages())
        assert refused.value.reason == "UPLOAD_IDLE"

    stalled = [asyncio.create_task(stall(name)) for name in begun for _ in range(5)]
    assert (await client.upload(b"of somebody else")).size_bytes == 16
    await asyncio.gather(*stalled)
    assert registry.ready
    assert len(_files(blobs_dir)) == 1
    for name in begun:
        await client.artifacts.AbortArtifactUpload(artifacts_pb2.AbortArtifactUploadRequest(name=name))
    name = await _begin(client)
    await _write(client, name, 0, CONTENT)
    assert (await _finish(client, name)).digest == DIGEST
    assert len(_files(blobs_dir)) == 2


async def test_an_upload_that_nobody_goes_on_with_is_given_up_and_its_bytes_go(
    start_service: StartService, connect: Connect, blobs_dir: Path
) -> None:
    """Promise 2."""
    forgetful = await start_service(
        build, Settings, redis_url="", upload_lifetime_s=1, collect_interval_s=0.2, log_level="ERROR"
    )
    client = Client.on(connect(forgetful.address))
    name = await _begin(client)
    await _write(client, name, 0, CONTENT[:1000])
    assert len(_files(blobs_dir)) == 1

    async def is_over() -> bool:
        return (await _get(client, name)).state == Upload.STATE_ABORTED and _files(blobs_dir) == []

    await eventually(is_over)

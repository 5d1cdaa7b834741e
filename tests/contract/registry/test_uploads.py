"""Uploads that come in several calls, over every store."""

import asyncio
import datetime
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.blobs import BlobWriter, DigestMismatch, LocalStaging, MemoryBlobs, Scheme, Staging
from chassis.testing import ManualClock
from headwater.names import ArtifactUploadName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.errors import ArtifactTooLarge
from services.registry.origin import Origin
from services.registry.store import Store
from services.registry.uploads.errors import (
    TooManyParts,
    TooManyUploads,
    UploadEnded,
    UploadIncomplete,
    UploadMoved,
    UploadNotFound,
    UploadTooLong,
)
from services.registry.uploads.model import NewUpload, UploadState
from services.registry.uploads.uploads import Uploads
from tests.contract.registry.builders import DEFAULT, upload

CONTENT = os.urandom(5000)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
UNKNOWN = NewUpload("a.bin", "", 0)
NOBODY = ArtifactUploadName("default", "01900000-0000-7000-8000-000000000001")


async def _chunks(content: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700):
        yield content[start : start + 700]
    if breaks:
        raise ConnectionResetError


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_comes_in_several_calls_is_one_artifact(
    uploads: Uploads, artifacts: Artifacts, staging: Staging, me: Origin
) -> None:
    begun = await uploads.create(DEFAULT, NewUpload("a.bin", DIGEST, len(CONTENT)), me)
    assert (begun.state, begun.stored_bytes) == (UploadState.OPEN, 0)
    for start, end in ((0, 2345), (2345, 5000)):
        assert (await uploads.write(begun.name, start, _chunks(CONTENT[start:end]))).stored_bytes == end
    artifact = await uploads.finish(begun.name, "", me)
    assert (artifact.digest, artifact.size_bytes, artifact.filename) == (DIGEST, 5000, "a.bin")
    assert b"".join([chunk async for chunk in artifacts.download(artifact.name)]) == CONTENT
    assert await uploads.finish(begun.name, DIGEST, me) == artifact
    assert await staging.folders() == []


async def test_after_a_failure_the_upload_goes_on_where_it_stands(uploads: Uploads, me: Origin) -> None:
    """R-17: parts of about 1,000 bytes are durable one by one, so that little is sent twice."""
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    with pytest.raises(ConnectionResetError):
        await uploads.write(begun.name, 0, _chunks(CONTENT[:3500], breaks=True))
    stands = (await uploads.get(begun.name)).stored_bytes
    assert stands == 2800
    with pytest.raises(UploadMoved) as moved:
        await uploads.write(begun.name, 3500, _chunks(CONTENT[3500:]))
    assert moved.value.metadata["stored_bytes"] == str(stands)
    await uploads.write(begun.name, stands, _chunks(CONTENT[stands:]))
    assert (await uploads.finish(begun.name, "", me)).digest == DIGEST


async def test_of_many_writers_at_one_place_one_goes_on(uploads: Uploads, me: Origin) -> None:
    """Promise 3."""
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    contents = [bytes([number]) * 900 for number in range(10)]
    answers = await asyncio.gather(
        *(uploads.write(begun.name, 0, _chunks(content)) for content in contents), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == sorted(["Upload"] + 9 * ["UploadMoved"])
    [winner] = [content for content, answer in zip(contents, answers, strict=True) if not isinstance(answer, Exception)]
    artifact = await uploads.finish(begun.name, "", me)
    assert artifact.digest == f"sha256:{hashlib.sha256(winner).hexdigest()}"


async def test_bytes_that_are_stored_already_need_not_come(uploads: Uploads, artifacts: Artifacts, me: Origin) -> None:
    name = await upload(artifacts, CONTENT, me)
    begun = await uploads.create(DEFAULT, NewUpload("b.bin", DIGEST, 0), me)
    assert begun.state is UploadState.FINISHED
    assert (await uploads.finish(begun.name, "", me)).name == name
    with pytest.raises(UploadEnded):
        await uploads.write(begun.name, 0, _chunks(b"x"))


async def test_bytes_that_are_not_the_declared_ones_end_the_upload(
    uploads: Uploads, staging: Staging, me: Origin
) -> None:
    begun = await uploads.create(DEFAULT, NewUpload("a.bin", DIGEST, 0), me)
    await uploads.write(begun.name, 0, _chunks(b"other"))
    with pytest.raises(DigestMismatch):
        await uploads.finish(begun.name, "", me)
    assert (await uploads.get(begun.name)).state is UploadState.ABORTED
    assert await staging.folders() == []
    two = await uploads.create(DEFAULT, NewUpload("a.bin", DIGEST, 0), me)
    with pytest.raises(DigestMismatch):
        await uploads.finish(two.name, f"sha256:{'0' * 64}", me)


async def test_an_upload_that_lacks_bytes_stays_open(uploads: Uploads, me: Origin) -> None:
    begun = await uploads.create(DEFAULT, NewUpload("a.bin", "", 5000), me)
    await uploads.write(begun.name, 0, _chunks(CONTENT[:10]))
    with pytest.raises(UploadIncomplete):
        await uploads.finish(begun.name, "", me)
    await uploads.write(begun.name, 10, _chunks(CONTENT[10:]))
    assert (await uploads.finish(begun.name, "", me)).digest == DIGEST


async def test_more_bytes_than_declared_or_taken_are_refused(uploads: Uploads, me: Origin) -> None:
    """Promise 8: the limit of these tests is one mebibyte."""
    declared = await uploads.create(DEFAULT, NewUpload("a.bin", "", 100), me)
    with pytest.raises(UploadTooLong):
        await uploads.write(declared.name, 0, _chunks(bytes(101)))
    with pytest.raises(ArtifactTooLarge):
        await uploads.create(DEFAULT, NewUpload("a.bin", "", 2**20 + 1), me)
    unknown = await uploads.create(DEFAULT, UNKNOWN, me)
    with pytest.raises(ArtifactTooLarge):
        await uploads.write(unknown.name, 0, _chunks(bytes(2**20 + 700)))
    assert (await uploads.get(unknown.name)).stored_bytes <= 2**20


async def test_nothing_stays_of_what_goes_past_the_end(uploads: Uploads, tmp_path: Path, me: Origin) -> None:
    """Promise 8: else whoever sends too much again and again would fill the disk."""
    begun = await uploads.create(DEFAULT, NewUpload("a.bin", "", 100), me)
    for _ in range(3):
        with pytest.raises(UploadTooLong):
            await uploads.write(begun.name, 0, _chunks(bytes(700)))
    assert _files(tmp_path) == []


async def test_a_project_has_so_many_open_uploads_and_no_more(
    store: Store, blobs: MemoryBlobs, staging: Staging, clock: ManualClock, me: Origin
) -> None:
    """Promise 8: whoever begins uploads and sends nothing more is stopped; what ends, or has ended, does not count."""
    lifetime = datetime.timedelta(hours=1)
    uploads = Uploads(store, blobs, staging, clock, lifetime=lifetime, max_bytes=2**20, max_open=3)
    begun = [await uploads.create(DEFAULT, UNKNOWN, me) for _ in range(3)]
    with pytest.raises(TooManyUploads) as refused:
        await uploads.create(DEFAULT, UNKNOWN, me)
    assert (refused.value.metadata["max_open"], refused.value.retry_after_ms) == ("3", 30_000)
    await uploads.finish(begun[0].name, "", me)
    empty = f"sha256:{hashlib.sha256().hexdigest()}"
    await uploads.create(DEFAULT, UNKNOWN, me)
    assert (await uploads.create(DEFAULT, NewUpload("a.bin", empty, 0), me)).state is UploadState.FINISHED
    await uploads.abort(begun[1].name, me)
    await uploads.create(DEFAULT, UNKNOWN, me)
    clock.advance(3601)
    await uploads.collect()
    for _ in range(3):
        await uploads.create(DEFAULT, UNKNOWN, me)


async def test_an_upload_of_very_many_parts_takes_no_more_of_them(
    store: Store, blobs: MemoryBlobs, staging: Staging, clock: ManualClock, me: Origin
) -> None:
    """Promise 8: a file and a row for each byte would cost a thousand times what the bytes do."""
    lifetime = datetime.timedelta(hours=1)
    uploads = Uploads(store, blobs, staging, clock, lifetime=lifetime, max_bytes=5000, part_bytes=5000, max_parts=3)
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    for offset in range(3):
        await uploads.write(begun.name, offset, _chunks(b"x"))
    with pytest.raises(TooManyParts):
        await uploads.write(begun.name, 3, _chunks(b"x"))
    assert (await uploads.finish(begun.name, "", me)).size_bytes == 3


async def test_an_empty_upload_is_an_empty_artifact(uploads: Uploads, me: Origin) -> None:
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    assert (await uploads.write(begun.name, 0, _chunks(b""))).stored_bytes == 0
    assert (await uploads.finish(begun.name, "", me)).size_bytes == 0


async def test_an_upload_that_is_given_up_takes_nothing_more(uploads: Uploads, staging: Staging, me: Origin) -> None:
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    await uploads.write(begun.name, 0, _chunks(CONTENT))
    for _ in range(2):
        assert (await uploads.abort(begun.name, me)).state is UploadState.ABORTED
    assert await staging.folders() == []
    for refused in (uploads.write(begun.name, 5000, _chunks(b"x")), uploads.finish(begun.name, "", me)):
        with pytest.raises(UploadEnded):
            await refused
    with pytest.raises(UploadNotFound):
        await uploads.get(NOBODY)


async def test_an_upload_may_be_given_up_while_bytes_come(uploads: Uploads, staging: Staging, me: Origin) -> None:
    """The writer is told; nothing of what it has sent stays."""
    begun = await uploads.create(DEFAULT, UNKNOWN, me)

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(1500)
        yield bytes(300)
        await uploads.abort(begun.name, me)
        yield bytes(1000)

    with pytest.raises(UploadEnded):
        await uploads.write(begun.name, 0, chunks())
    await uploads.collect()
    assert await staging.folders() == []


@pytest.mark.parametrize("ended_by", ["finish", "abort"])
async def test_an_upload_may_be_ended_while_its_parts_are_joined(
    ended_by: str, store: Store, blobs: MemoryBlobs, staging: Staging, clock: ManualClock, me: Origin
) -> None:
    """Promise 4: a retry of what is still at work gets the same artifact; and not that parts are lost."""
    waiting, goes_on = asyncio.Event(), asyncio.Event()

    class Slow(LocalStaging):
        async def open(self, folder: str, name: str) -> AsyncIterator[bytes]:
            waiting.set()
            await goes_on.wait()
            async for chunk in staging.open(folder, name):
                yield chunk

    def over(parts: Staging) -> Uploads:
        return Uploads(store, blobs, parts, clock, lifetime=datetime.timedelta(hours=1), max_bytes=2**20)

    quick, slow = over(staging), over(Slow(Path("/")))
    begun = await quick.create(DEFAULT, UNKNOWN, me)
    await quick.write(begun.name, 0, _chunks(CONTENT))
    late = asyncio.create_task(slow.finish(begun.name, "", me))
    await waiting.wait()
    if ended_by == "finish":
        artifact = await quick.finish(begun.name, "", me)
        goes_on.set()
        assert await late == artifact
    else:
        await quick.abort(begun.name, me)
        goes_on.set()
        with pytest.raises(UploadEnded):
            await late


async def test_many_who_finish_one_upload_at_once_make_one_copy_of_it(
    store: Store, staging: Staging, clock: ManualClock, me: Origin
) -> None:
    """Promise 8: each copy takes as much of the disk as the upload, which may be most of it."""
    copies = 0

    class Counting(MemoryBlobs):
        def writer(self, scheme: Scheme = Scheme.SHA256, *, direct: bool = False) -> BlobWriter:
            nonlocal copies
            copies += 1
            return super().writer(scheme, direct=direct)

    uploads = Uploads(store, Counting(), staging, clock, lifetime=datetime.timedelta(hours=1), max_bytes=2**20)
    begun = await uploads.create(DEFAULT, UNKNOWN, me)
    await uploads.write(begun.name, 0, _chunks(CONTENT))
    artifacts = await asyncio.gather(*(uploads.finish(begun.name, "", me) for _ in range(10)))
    assert {artifact.digest for artifact in artifacts} == {DIGEST}
    assert copies == 1


async def test_what_is_left_alone_is_collected(
    uploads: Uploads, staging: Staging, clock: ManualClock, me: Origin
) -> None:
    """Promise 2: after an hour without a byte; also parts that were never recorded."""
    left, alive = [await uploads.create(DEFAULT, UNKNOWN, me) for _ in range(2)]
    for begun in (left, alive):
        await uploads.write(begun.name, 0, _chunks(b"x"))
    await staging.put("01900000-0000-7000-8000-00000000000a", "0", _chunks(b"of a process that died"))
    clock.advance(3000)
    await uploads.write(alive.name, 1, _chunks(b"y"))
    clock.advance(3000)
    await uploads.collect()
    assert await staging.folders() == [alive.id]
    assert (await uploads.get(left.name)).state is UploadState.ABORTED
    assert (await uploads.finish(alive.name, "", me)).size_bytes == 2


async def test_a_retry_begins_no_second_upload(uploads: Uploads) -> None:
    """Promise 4."""
    retry = Origin("tester", "Test", "r-1", "body")
    assert await uploads.create(DEFAULT, UNKNOWN, retry) == await uploads.create(DEFAULT, UNKNOWN, retry)

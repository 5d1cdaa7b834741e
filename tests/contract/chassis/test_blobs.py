"""Every blob store: a local directory, object stores and memory."""

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import blake3
import obstore
import pytest
import pytest_asyncio
from obstore.store import LocalStore, MemoryStore

from chassis.blobs import (
    Blob,
    BlobCorrupt,
    BlobNotFound,
    Blobs,
    DigestMismatch,
    InvalidBlobsUrl,
    InvalidDigest,
    LocalBlobs,
    MemoryBlobs,
    ObjectStoreBlobs,
    RangeOutside,
    Scheme,
    blobs_from_url,
)

DATA = os.urandom(3 * 2**20 + 17)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
NOBODY_HAS = "sha256:" + 64 * "0"
BAD_DIGESTS = [
    "",
    "sha256:",
    "sha256:" + 63 * "0",
    "sha256:" + 65 * "0",
    "sha256:" + 64 * "G",
    "sha256:" + 64 * "A",
    "md5:" + 32 * "0",
    "sha256:../../../../etc/passwd",
    "sha256:" + 63 * "0" + "\n",
    "sha256:" + 64 * "\u0661",  # digits, in another alphabet
    "blake3:" + 63 * "0",
    "blake2:" + 64 * "0",
]

PUT_FOR_EVER = """
import asyncio, os, pathlib, sys
from chassis.blobs import LocalBlobs
async def chunks():
    for _ in range(20):
        yield os.urandom(100_000)
async def main():
    blobs = LocalBlobs(pathlib.Path(sys.argv[1]))
    while True:
        print((await blobs.put(chunks())).digest, flush=True)
asyncio.run(main())
"""
PUT_WITH_NO_ROOM = """
import asyncio, pathlib, resource, sys
from chassis.blobs import BlobStoreFull, LocalBlobs
async def chunks():
    for _ in range(100):
        yield bytes(10_000)
async def main():
    blobs = LocalBlobs(pathlib.Path(sys.argv[1]))
    for share in (0.01, 0.5, 0.99):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(1_000_000 * share), resource.RLIM_INFINITY))
        try:
            await blobs.put(chunks())
        except BlobStoreFull as error:
            print(error.reason)
asyncio.run(main())
"""
COPY_AND_WAIT = """
import asyncio, pathlib, sys
from chassis.blobs import ObjectStoreBlobs
from obstore.store import LocalStore
async def main():
    blobs = ObjectStoreBlobs(LocalStore(pathlib.Path(sys.argv[1])))
    print(await blobs.local_path(sys.argv[2]), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@dataclasses.dataclass(frozen=True)
class Case:
    """A store, how to change what it keeps behind its back, and where a put leaves its traces."""

    blobs: Blobs
    overwrite: Callable[[str, bytes], object]
    files: Callable[[], list[Path]]


@pytest_asyncio.fixture(params=["local", "object store in a directory", "memory"])
async def case(request: pytest.FixtureRequest, blobs_dir: Path) -> AsyncIterator[Case]:
    def overwrite_file(digest: str, data: bytes) -> None:
        file = blobs_dir / _key(digest)
        file.chmod(0o644)
        file.write_bytes(data)

    def files() -> list[Path]:
        return _files(blobs_dir)

    if request.param == "local":
        case = Case(LocalBlobs(blobs_dir), overwrite_file, files)
    elif request.param == "memory":
        store = MemoryStore()
        case = Case(ObjectStoreBlobs(store), lambda digest, data: obstore.put(store, _key(digest), data), list)
    else:
        case = Case(ObjectStoreBlobs(LocalStore(blobs_dir)), overwrite_file, files)
    yield case
    await case.blobs.close()


async def test_what_was_put_is_read_back(case: Case) -> None:
    assert await case.blobs.put(_chunks(DATA)) == Blob(DIGEST, len(DATA))
    assert await _read(case.blobs, DIGEST) == DATA
    assert await case.blobs.exists(DIGEST)
    assert await case.blobs.size_bytes(DIGEST) == len(DATA)


@pytest.mark.parametrize("size", [1, 1000, 2**20, 2**22])
async def test_the_size_of_the_chunks_sent_makes_no_difference(case: Case, size: int) -> None:
    data = DATA[:5000] if size == 1 else DATA
    blob = await case.blobs.put(_chunks(data, size))
    assert blob.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert await _read(case.blobs, blob.digest) == data


async def test_no_bytes_at_all_are_a_blob_too(case: Case) -> None:
    blob = await case.blobs.put(_chunks(b""))
    assert blob == Blob("sha256:" + hashlib.sha256().hexdigest(), 0)
    assert await _read(case.blobs, blob.digest) == b""
    assert await case.blobs.read_range(blob.digest, 0, 10) == b""


async def test_the_same_bytes_may_be_put_again_and_at_the_same_time(case: Case) -> None:
    blobs = await asyncio.gather(*(case.blobs.put(_chunks(DATA)) for _ in range(5)))
    assert set(blobs) == {Blob(DIGEST, len(DATA))}
    assert await _read(case.blobs, DIGEST) == DATA


async def test_declared_bytes_are_accepted_and_others_are_not_stored(case: Case) -> None:
    with pytest.raises(DigestMismatch):
        await case.blobs.put(_chunks(DATA), expected_digest=NOBODY_HAS)
    assert not await case.blobs.exists(DIGEST)
    assert not await case.blobs.exists(NOBODY_HAS)
    assert (await case.blobs.put(_chunks(DATA), expected_digest=DIGEST)).digest == DIGEST


@pytest.mark.parametrize("scheme", list(Scheme))
async def test_bytes_that_come_one_after_the_other_appear_when_they_are_published(case: Case, scheme: Scheme) -> None:
    writer = case.blobs.writer(scheme)
    reused = bytearray(1000)
    for start in range(0, len(DATA), 1000):
        piece = memoryview(reused)[: len(DATA[start : start + 1000])]
        piece[:] = DATA[start : start + 1000]
        writer.write(piece)
    blob = await asyncio.to_thread(writer.seal)
    digest = DIGEST if scheme is Scheme.SHA256 else f"blake3:{blake3.blake3(DATA).hexdigest()}"
    assert blob == Blob(digest, len(DATA))
    assert not await case.blobs.exists(digest)
    await writer.publish()
    writer.discard()
    writer.discard()
    assert await _read(case.blobs, digest) == DATA
    assert (await case.blobs.local_path(digest)).read_bytes() == DATA
    assert await case.blobs.read_range(digest, 5, 7) == DATA[5:12]
    await case.blobs.delete(digest)
    assert not await case.blobs.exists(digest)


@pytest.mark.parametrize("sealed", [False, True])
async def test_what_is_given_up_before_it_is_published_leaves_nothing(case: Case, sealed: bool) -> None:
    """Promise 2."""
    writer = case.blobs.writer()
    writer.write(DATA)
    if sealed:
        writer.seal()
    writer.discard()
    assert not await case.blobs.exists(DIGEST)
    assert case.files() == []


async def test_the_same_bytes_under_two_schemes_are_two_blobs(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    fast = f"blake3:{blake3.blake3(DATA).hexdigest()}"
    assert not await case.blobs.exists(fast)
    assert (await case.blobs.put(_chunks(DATA), expected_digest=fast)).digest == fast
    case.overwrite(fast, DATA[:-1])
    with pytest.raises(BlobCorrupt):
        await _read(case.blobs, fast)
    assert await _read(case.blobs, DIGEST) == DATA


async def test_a_range_is_read(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    assert await case.blobs.read_range(DIGEST, 2**20 - 5, 10) == DATA[2**20 - 5 : 2**20 + 5]
    assert await case.blobs.read_range(DIGEST, 7, 0) == b""


async def test_a_range_ends_where_the_blob_ends(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    assert await case.blobs.read_range(DIGEST, len(DATA) - 3, 10**12) == DATA[-3:]
    assert await case.blobs.read_range(DIGEST, len(DATA), 1) == b""


@pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, -1), (len(DATA) + 1, 1), (2**63, 1)])
async def test_a_range_outside_is_refused(case: Case, start: int, length: int) -> None:
    await case.blobs.put(_chunks(DATA))
    with pytest.raises(RangeOutside):
        await case.blobs.read_range(DIGEST, start, length)


async def test_what_was_never_put_is_not_found(case: Case) -> None:
    assert not await case.blobs.exists(NOBODY_HAS)
    for call in (
        _read(case.blobs, NOBODY_HAS),
        case.blobs.read_range(NOBODY_HAS, 0, 1),
        case.blobs.size_bytes(NOBODY_HAS),
        case.blobs.local_path(NOBODY_HAS),
        case.blobs.local_paths([NOBODY_HAS]),
    ):
        with pytest.raises(BlobNotFound):
            await call


async def test_many_paths_are_given_at_once_each_verified(case: Case) -> None:
    """Promise 5, also of one among many."""
    digests = [(await case.blobs.put(_chunks(DATA[:size]))).digest for size in (1, 2, 3)]
    paths = await case.blobs.local_paths(digests)
    assert [path.read_bytes() for path in paths] == [DATA[:1], DATA[:2], DATA[:3]]
    assert await case.blobs.local_paths([digests[2], digests[0], digests[2]]) == [paths[2], paths[0], paths[2]]
    assert await case.blobs.local_paths([]) == []
    await case.blobs.put(_chunks(DATA))
    case.overwrite(DIGEST, DATA[::-1])
    with pytest.raises(BlobCorrupt):
        await case.blobs.local_paths([digests[0], DIGEST])


@pytest.mark.parametrize("digest", BAD_DIGESTS)
async def test_what_is_no_digest_is_refused_everywhere(case: Case, digest: str) -> None:
    """Promise 13: no text becomes a path."""
    for call in (
        _read(case.blobs, digest),
        case.blobs.read_range(digest, 0, 1),
        case.blobs.size_bytes(digest),
        case.blobs.local_path(digest),
        case.blobs.exists(digest),
        case.blobs.delete(digest),
        case.blobs.put(_chunks(DATA), expected_digest=digest or "sha256"),
    ):
        with pytest.raises(InvalidDigest):
            await call


async def test_one_flipped_bit_at_rest_is_data_loss(case: Case) -> None:
    """Promise 5."""
    await case.blobs.put(_chunks(DATA))
    case.overwrite(DIGEST, DATA[:100] + bytes([DATA[100] ^ 1]) + DATA[101:])
    with pytest.raises(BlobCorrupt):
        await _read(case.blobs, DIGEST)
    with pytest.raises(BlobCorrupt):
        await case.blobs.local_path(DIGEST)


async def test_of_bytes_that_were_cut_the_reader_never_gets_all(case: Case) -> None:
    """Promise 5: a reader that ignores the error still has no complete file."""
    await case.blobs.put(_chunks(DATA))
    case.overwrite(DIGEST, DATA[:1000])
    received = b""
    with contextlib.suppress(BlobCorrupt):
        async for chunk in case.blobs.open(DIGEST):
            received += chunk
    assert received == b""


async def test_damaged_bytes_are_healed_by_putting_them_again(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    case.overwrite(DIGEST, b"something else")
    await case.blobs.put(_chunks(DATA))
    assert await _read(case.blobs, DIGEST) == DATA


async def test_a_local_file_has_the_bytes_and_cannot_be_written(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    path = await case.blobs.local_path(DIGEST)
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o222 == 0
    assert await case.blobs.local_path(DIGEST) == path


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(case: Case) -> None:
    await case.blobs.put(_chunks(DATA))
    await case.blobs.delete(DIGEST)
    await case.blobs.delete(DIGEST)
    assert not await case.blobs.exists(DIGEST)
    with pytest.raises(BlobNotFound):
        await case.blobs.size_bytes(DIGEST)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
async def test_an_interrupted_put_stores_nothing(case: Case, share: float) -> None:
    """Promise 2."""
    with pytest.raises(ConnectionResetError):
        await case.blobs.put(_cut(DATA, share))
    assert not await case.blobs.exists(DIGEST)
    assert case.files() == []


async def test_a_cancelled_put_stores_nothing(case: Case) -> None:
    started = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield DATA
        started.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(case.blobs.put(endless()))
    await started.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert case.files() == []


async def test_a_store_that_answers_passes_its_check(case: Case) -> None:
    await case.blobs.check()


async def test_what_a_killed_process_left_is_collected_when_it_is_old(blobs_dir: Path) -> None:
    """Promise 2; a put under way elsewhere is left alone."""
    blobs = LocalBlobs(blobs_dir)
    await blobs.put(_chunks(DATA))
    old, new = blobs_dir / "incoming" / "old", blobs_dir / "incoming" / "new"
    old.write_bytes(b"half a blob")
    os.utime(old, (0, 0))
    new.write_bytes(b"half a blob")
    assert await blobs.collect_leftovers(older_than_s=60) == 1
    assert not old.exists()
    assert new.exists()
    assert await _read(blobs, DIGEST) == DATA


async def test_a_put_is_acknowledged_only_when_everything_about_it_is_on_the_disk(
    blobs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 1: the file before its name, then the name, then every directory that may be new."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        steps.append(f"sync {os.readlink(f'/proc/self/fd/{descriptor}')}")

    def noted_replace(source: Path, target: Path) -> None:
        replace(source, target)
        steps.append(f"rename to {target}")

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    root = blobs_dir / "a" / "b"
    await LocalBlobs(root).put(_chunks(DATA))
    final = root / _key(DIGEST)
    renamed = steps.index(f"rename to {final}")
    assert any(step.startswith(f"sync {root}/incoming/") for step in steps[:renamed])
    assert steps[renamed + 1 :] == [f"sync {final.parent}"]
    for directory in (blobs_dir, blobs_dir / "a", root, root / "sha256"):
        assert f"sync {directory}" in steps[:renamed]


async def test_a_file_that_may_not_grow_is_a_full_store_and_nothing_is_left(blobs_dir: Path) -> None:
    """RLIMIT_FSIZE stops a file at a size, as a full disk does; in a process of its own, for it cannot be undone."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUT_WITH_NO_ROOM, str(blobs_dir), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert told.decode().split() == ["BLOB_STORE_FULL"] * 3
    assert _files(blobs_dir) == []


async def test_what_was_acknowledged_is_there_after_a_kill(blobs_dir: Path) -> None:
    """Promises 1 and 2: all that was acknowledged is there, and nothing by half."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUT_FOR_EVER, str(blobs_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged = [(await process.stdout.readline()).decode().strip() for _ in range(20)]
    process.kill()
    acknowledged += (await process.stdout.read()).decode().split("\n")[:-1]
    await process.wait()
    blobs = LocalBlobs(blobs_dir)
    for digest in acknowledged:
        await _read(blobs, digest)
    for file in (blobs_dir / "sha256").rglob("*"):
        if file.is_file():
            await _read(blobs, f"sha256:{file.name}")
    await blobs.collect_leftovers(older_than_s=-1)
    assert list((blobs_dir / "incoming").iterdir()) == []


async def test_copies_of_remote_blobs_stay_within_their_bound(blobs_dir: Path) -> None:
    blobs = ObjectStoreBlobs(LocalStore(blobs_dir), cache_max_bytes=2500)
    digests = [(await blobs.put(_chunks(bytes([number]) * 1000))).digest for number in range(5)]
    paths = [await blobs.local_path(digest) for digest in digests]
    assert [path.exists() for path in paths] == [False, False, False, True, True]
    assert (await blobs.local_path(digests[0])).read_bytes() == bytes(1000)
    await blobs.close()
    assert not paths[-1].parent.exists()


async def test_the_copies_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(blobs_dir: Path) -> None:
    living = ObjectStoreBlobs(LocalStore(blobs_dir))
    await living.put(_chunks(DATA))
    kept = await living.local_path(DIGEST)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COPY_AND_WAIT, str(blobs_dir), DIGEST, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    left = Path((await process.stdout.readline()).decode().strip())
    assert _exist(left, kept) == (True, True)
    process.kill()
    await process.wait()
    next_one = ObjectStoreBlobs(LocalStore(blobs_dir))
    await next_one.local_path(DIGEST)
    assert _exist(left, kept) == (False, True)
    await next_one.close()
    await living.close()


async def test_the_url_of_a_directory_names_a_local_store(blobs_dir: Path) -> None:
    blobs = blobs_from_url((blobs_dir / "with a space").as_uri(), "registry")
    await blobs.put(_chunks(DATA))
    assert await _read(LocalBlobs(blobs_dir / "with a space" / "registry"), DIGEST) == DATA


async def test_the_url_of_memory_names_a_store_that_ends_with_its_object() -> None:
    first, second = blobs_from_url("memory://", "registry"), MemoryBlobs()
    await first.put(_chunks(DATA))
    assert await _read(first, DIGEST) == DATA
    assert not await second.exists(DIGEST)


@pytest.mark.parametrize("url", ["", "/srv/blobs", "file://host/srv", "file:///", "http://example.com/x", "s3://", "x"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidBlobsUrl):
        blobs_from_url(url, "registry")


async def _chunks(data: bytes, size: int = 2**18) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _cut(data: bytes, share: float) -> AsyncIterator[bytes]:
    yield data[: int(len(data) * share)]
    raise ConnectionResetError


async def _read(blobs: Blobs, digest: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.open(digest)])


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _exist(*paths: Path) -> tuple[bool, ...]:
    return tuple(path.exists() for path in paths)


def _key(digest: str) -> str:
    scheme, _, hexadecimal = digest.partition(":")
    return f"{scheme}/{hexadecimal[:2]}/{hexadecimal}"

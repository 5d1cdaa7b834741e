"""Parts of blobs to be: in a local directory, and in object stores."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from chassis.blobs import InvalidBlobsUrl, LocalStaging, ObjectStaging, PartLost, Staging, staging_from_url

PUT_WITH_NO_ROOM = """
import asyncio, pathlib, resource, sys
from chassis.blobs import BlobStoreFull, LocalStaging
async def chunks(count):
    for _ in range(count):
        yield bytes(1_000)
async def main():
    staging = LocalStaging(pathlib.Path(sys.argv[1]))
    for limit in (10, 10_000, 500_500, 999_999):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            await staging.put("a", "0", chunks(1000))
        except BlobStoreFull as error:
            print(error.reason)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    print(await staging.put("a", "1", chunks(1000)))
asyncio.run(main())
"""


@pytest.fixture(params=["local", "object store on disk", "object store in memory"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Staging:
    """A place for parts."""
    if request.param == "local":
        return LocalStaging(tmp_path / "deep" / "staging")
    return ObjectStaging(LocalStore(tmp_path) if request.param.endswith("disk") else MemoryStore())


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _broken() -> AsyncIterator[bytes]:
    yield b"some"
    raise ConnectionResetError


def _files(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]


async def _read(staging: Staging, folder: str, name: str) -> bytes:
    return b"".join([chunk async for chunk in staging.open(folder, name)])


async def test_a_part_comes_back_as_it_was(staging: Staging) -> None:
    content = os.urandom(3 * 2**20 + 1)
    assert await staging.put("a", "0", _chunks(content[:1000], content[1000:])) == len(content)
    assert await staging.put("a", "1", _chunks(b"more")) == 4
    assert await _read(staging, "a", "0") == content
    assert await staging.folders() == ["a"]


async def test_a_part_that_is_cut_is_not_there(staging: Staging) -> None:
    """Promise 2."""
    with pytest.raises(ConnectionResetError):
        await staging.put("a", "0", _broken())
    with pytest.raises(PartLost):
        await _read(staging, "a", "0")


async def test_a_folder_goes_as_a_whole(staging: Staging) -> None:
    for name in ("0", "1"):
        await staging.put("a", name, _chunks(b"x"))
    await staging.put("ab", "0", _chunks(b"y"))
    await staging.remove("a")
    await staging.remove("a")
    with pytest.raises(PartLost):
        await _read(staging, "a", "1")
    assert await _read(staging, "ab", "0") == b"y"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "é", "a" * 81, "a\n"])
async def test_names_never_become_paths(staging: Staging, name: str) -> None:
    """Promise 13."""
    for refused in (staging.put("a", name, _chunks(b"x")), staging.remove(name)):
        with pytest.raises(ValueError, match="no name of a part"):
            await refused


async def test_a_local_part_is_in_a_file_of_its_own_and_nothing_else_is_left(tmp_path: Path) -> None:
    staging = staging_from_url(f"file://{tmp_path}", "registry")
    await staging.put("a", "0", _chunks(b"x"))
    with pytest.raises(ConnectionResetError):
        await staging.put("a", "1", _broken())
    assert _files(tmp_path) == [Path("registry/staging/a/0")]


async def test_a_file_that_may_not_grow_is_a_full_store_and_nothing_is_left(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stops a file at a size, as a full disk does; what was buffered cannot be written either."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUT_WITH_NO_ROOM, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert told.decode().split() == ["BLOB_STORE_FULL"] * 4 + ["1000000"]
    assert _files(tmp_path) == [Path("a/1")]


def test_an_url_that_names_no_place_is_refused() -> None:
    with pytest.raises(InvalidBlobsUrl):
        staging_from_url("ftp://host/x", "registry")

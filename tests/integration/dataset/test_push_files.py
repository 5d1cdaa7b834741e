"""Files that did not change are not read again, and files that may have changed always are."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headwater import datasets, tree
from headwater.client import Connection
from headwater.datasets.pushing import Pushed
from headwater.datasets.pushing_files import Files, push_files
from headwater.datasets.stat_cache import StatCache
from headwater.errors import AlreadyExists, NotFound
from headwater.files import Source
from headwater.files.walk import Found

Push = Callable[..., Pushed]
COUNT = 1500


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of 8 KiB in three folders."""
    for number in range(COUNT):
        file = tmp_path / "files" / f"f{number % 3}" / f"{number:04}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(8192))
        os.utime(file, (0, 0))
    return tmp_path / "files"


def digest_of(folder: Path) -> str:
    source = Source(folder, kind="files")
    split = tree.digest_split("train", source.schema, source.batches("train"))
    return tree.digest_text(tree.version_digest(source.schema, [split]))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    names: list[str] = []
    before = Found.read

    def noted(file: Found) -> bytes:
        names.append(file.name)
        return before(file)

    monkeypatch.setattr(Found, "read", noted)
    return names


@pytest.fixture
def push(connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Push:
    """Pushes a folder; ``later`` is how many seconds later than now it seems to be.

    A file's time of change cannot be set, so the clock that it is compared with is set forward instead.
    """
    now = time.time_ns

    def push(path: Path, *, later: float = 3600, cache: bool = True, **said: Any) -> Pushed:
        monkeypatch.setattr(time, "time_ns", lambda: now() + int(later * 1e9))
        remembered = StatCache(tmp_path / "cache") if cache else None
        dataset = said.pop("dataset", "d")
        return push_files(connection, dataset, Files(path, kind="files"), cache=remembered, **said)

    return push


async def test_nothing_is_read_and_nothing_sent_when_nothing_changed(
    push: Push, folder: Path, read: list[str], connection: Connection
) -> None:
    def story() -> None:
        first = push(folder)
        assert len(read) == COUNT
        read.clear()
        again = push(folder)
        assert (again.created, again.sent_bytes, again.new_chunk_count, read) == (False, 0, 0, [])
        assert again.version == first.version
        assert (again.commit.name, again.chunk_count) == (first.commit.name, first.chunk_count)
        # Another branch of the same rows, and one that does not exist.
        with pytest.raises(NotFound):
            push(folder, branch="nowhere")

    await asyncio.to_thread(story)


async def test_only_files_that_changed_are_read(
    push: Push, folder: Path, read: list[str], connection: Connection
) -> None:
    """One is written, one added, one removed, one renamed, and one replaced by another of the same size and times."""

    def story() -> None:
        push(folder)
        read.clear()
        (folder / "f0" / "0000.bin").write_bytes(os.urandom(8192))
        (folder / "f1" / "new.bin").write_bytes(b"new")
        (folder / "f2" / "0002.bin").unlink()
        (folder / "f1" / "0001.bin").rename(folder / "f1" / "renamed.bin")
        replaced = folder / "f0" / "0003.bin"
        (folder / "other").write_bytes(os.urandom(8192))
        os.utime(folder / "other", (0, 0))
        (folder / "other").rename(replaced)
        changed = push(folder)
        wanted = {"f0/0000.bin", "f1/new.bin", "f1/renamed.bin", "f0/0003.bin"}
        # A chunk that has a changed row has unchanged rows too, whose files are read to be sent.
        assert wanted <= set(read)
        assert len(read) < COUNT * 0.7
        assert changed.created
        assert changed.version.digest == digest_of(folder)
        assert changed.version.source_file_count == COUNT
        datasets.verify(connection, "d")
        read.clear()
        assert not push(folder).created
        assert read == []

    await asyncio.to_thread(story)


async def test_files_of_a_dataset_that_has_none_of_them_are_read_when_they_are_wanted(
    push: Push, folder: Path, read: list[str], connection: Connection
) -> None:
    """The cache knows digests, not rows: what the server does not have is read again."""

    def story() -> None:
        first = push(folder)
        read.clear()
        elsewhere = push(folder, dataset="another")
        assert elsewhere.created
        assert elsewhere.version.digest == first.version.digest
        assert (elsewhere.sent_bytes, read) == (0, [])

    await asyncio.to_thread(story)


async def test_a_file_that_was_touched_a_moment_before_is_not_trusted(
    push: Push, folder: Path, read: list[str]
) -> None:
    """It could be written again within the same tick of the file system's clock: git calls such files racily clean."""

    def story() -> None:
        push(folder, later=0)
        read.clear()
        (folder / "f0" / "0000.bin").write_bytes(os.urandom(8192))
        push(folder, later=1)
        read.clear()
        assert not push(folder, later=1).created
        assert "f0/0000.bin" in read
        read.clear()
        push(folder, later=3600)
        push(folder, later=3600)
        assert len(read) == len(set(read))

    await asyncio.to_thread(story)


async def test_a_damaged_or_foreign_cache_is_ignored(push: Push, folder: Path, read: list[str], tmp_path: Path) -> None:
    def story() -> None:
        first = push(folder)
        files = {file: file.read_bytes() for file in (tmp_path / "cache").iterdir()}
        assert len(files) == 2
        for damage in (
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: bytes([content[0] ^ 1]) + content[1:],
            lambda content: b"{}" + b"\0" * 32,
            lambda content: os.urandom(len(content)),
        ):
            for file, content in files.items():
                file.write_bytes(damage(content))
            read.clear()
            again = push(folder)
            assert (again.created, again.commit.name, len(read)) == (False, first.commit.name, COUNT)
        for file in files:
            file.unlink()
            file.mkdir()  # nor does a cache that cannot be written stop anybody
        assert not push(folder).created

    await asyncio.to_thread(story)


async def test_the_cache_can_be_switched_off(push: Push, folder: Path, read: list[str], tmp_path: Path) -> None:
    def story() -> None:
        for times in (1, 2):
            push(folder, cache=False)
            assert len(read) == times * COUNT
        assert not (tmp_path / "cache").exists()

    await asyncio.to_thread(story)


async def test_what_else_is_said_is_not_lost_on_unchanged_files(
    push: Push, folder: Path, connection: Connection
) -> None:
    """A version or derivation that is asked for goes to the server, however little has changed."""

    def story() -> None:
        push(folder)
        push(folder, message="again")
        with pytest.raises(AlreadyExists, match="has a version already"):
            push(folder, version="v1.2.0")
        datasets.push(connection, "d", Source(folder / "f0", kind="files"))
        back = push(folder)
        assert back.created
        assert back.version.name.endswith("/versions/v1.2.0")

    await asyncio.to_thread(story)

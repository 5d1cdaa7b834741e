"""Blobs as files of one directory.

    root/sha256/ab/abcdef…    a blob, read-only; it appears by a rename and is never changed (and root/blake3/…)
    root/incoming/…           puts under way, and what interrupted ones left

A put is acknowledged when the file is synced and renamed and its directory, and those above it that may be new, are
synced too (promise 1). A copy of ``root`` made at any moment is a consistent store.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from chassis.blobs.digests import Scheme, hasher, key_of, scheme_of
from chassis.blobs.protocol import BlobCorrupt, BlobNotFound, Blobs, BlobStoreUnavailable, BlobWriter, length_within
from chassis.blobs.spool import SpooledWriter, full_disk_named, remove_older, verified
from chassis.threads import opened_in_thread

_READ_BYTES = 2**20
_State = tuple[int, int, int]
"""A file's inode, size and time of change, which no user can set back: the same for as long as its bytes are."""


class LocalBlobs(Blobs):
    """Blobs under ``root``, which is made when first needed; any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming = self._root / "incoming"
        self._synced: set[Path] = set()
        self._verified: dict[str, _State] = {}

    def writer(self, scheme: Scheme = Scheme.SHA256, *, direct: bool = False) -> BlobWriter:
        """See Blobs."""
        with full_disk_named():
            self._make_directory(self._incoming)
        return SpooledWriter(self._incoming, scheme, self._publish, durable=True, direct=direct)

    def open(self, digest: str) -> AsyncIterator[bytes]:
        """See Blobs."""
        return verified(digest, self._read(self._path(digest), digest))

    async def read_range(self, digest: str, start: int, length: int) -> bytes:
        """See Blobs."""
        path = self._path(digest)
        within = length_within(start, length, await self.size_bytes(digest))

        def read() -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(within)

        return await asyncio.to_thread(read)

    async def exists(self, digest: str) -> bool:
        """See Blobs."""
        return await asyncio.to_thread(self._path(digest).exists)

    async def size_bytes(self, digest: str) -> int:
        """See Blobs."""
        return (await self._stat(digest)).st_size

    async def local_path(self, digest: str) -> Path:
        """See Blobs. The file in the store itself; it is verified once for as long as it does not change."""
        (path,) = await self.local_paths([digest])
        return path

    async def local_paths(self, digests: Sequence[str]) -> list[Path]:
        """See Blobs. One hop to a thread for all that have not changed."""
        paths = [self._path(digest) for digest in digests]
        seen = await asyncio.to_thread(
            lambda: [_state(path, digest) for path, digest in zip(paths, digests, strict=True)]
        )
        changed = {
            digest: state for digest, state in zip(digests, seen, strict=True) if self._verified.get(digest) != state
        }
        await asyncio.gather(*(self._verify(digest, state) for digest, state in changed.items()))
        return paths

    async def own_file(self, digest: str) -> Path:
        """See Blobs."""
        await self._stat(digest)
        return self._path(digest)

    async def delete(self, digest: str) -> None:
        """See Blobs."""
        await asyncio.to_thread(self._path(digest).unlink, missing_ok=True)

    async def collect_leftovers(self, older_than_s: float = 86_400) -> int:
        """See Blobs."""
        if not self._incoming.exists():
            return 0
        return await asyncio.to_thread(remove_older, self._incoming, older_than_s)

    async def check(self) -> None:
        """See Blobs."""
        try:
            await asyncio.to_thread(self._make_directory, self._incoming)
        except OSError as error:
            raise BlobStoreUnavailable from error
        if not await asyncio.to_thread(os.access, self._incoming, os.W_OK | os.X_OK):
            raise BlobStoreUnavailable

    async def close(self) -> None:
        """See Blobs."""

    def _path(self, digest: str) -> Path:
        return self._root / key_of(digest)

    async def _verify(self, digest: str, state: _State) -> None:
        # In one thread from its beginning to its end: a hop for each piece would cost more than the piece.
        await asyncio.to_thread(_check_content, self._path(digest), digest)
        self._verified[digest] = state

    async def _stat(self, digest: str) -> os.stat_result:
        return await asyncio.to_thread(_stat, self._path(digest), digest)

    async def _read(self, path: Path, digest: str) -> AsyncIterator[bytes]:
        try:
            file = await opened_in_thread(lambda: path.open("rb"), lambda file: file.close())
        except FileNotFoundError as error:
            raise BlobNotFound(digest=digest) from error
        with file:
            while chunk := await asyncio.to_thread(file.read, _READ_BYTES):
                yield chunk

    async def _publish(self, temporary: Path, digest: str) -> None:
        def move() -> None:
            final = self._path(digest)
            self._make_directory(final.parent)
            temporary.replace(final)  # over an equal one, if there is one; that heals it if it was damaged
            _sync(final.parent)

        await asyncio.to_thread(move)

    def _make_directory(self, directory: Path) -> None:
        """Make ``directory`` and sync all above it that may be new.

        That a directory exists proves nothing: another process may have made it a moment ago and not have synced it
        yet. So each process syncs the way down to every directory once.
        """
        if directory in self._synced:
            return
        new = [directory]
        while not new[-1].parent.exists():
            new.append(new[-1].parent)
        directory.mkdir(parents=True, exist_ok=True)
        for path in {*new, directory, directory.parent, self._root}:
            _sync(path.parent)
        self._synced.add(directory)


def _check_content(path: Path, digest: str) -> None:
    scheme = scheme_of(digest)
    digested, buffer = hasher(scheme), bytearray(_READ_BYTES)
    try:
        with path.open("rb", buffering=0) as file, memoryview(buffer) as view:
            while count := file.readinto(buffer):
                digested.update(view[:count])
    except FileNotFoundError as error:
        raise BlobNotFound(digest=digest) from error
    if f"{scheme}:{digested.hexdigest()}" != digest:
        raise BlobCorrupt(digest=digest)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stat(path: Path, digest: str) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError as error:
        raise BlobNotFound(digest=digest) from error


def _state(path: Path, digest: str) -> _State:
    status = _stat(path, digest)
    return status.st_ino, status.st_size, status.st_ctime_ns

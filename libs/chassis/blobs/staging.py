"""Bytes on their way in over several calls: parts, durable one by one, until all of them together become a blob.

A part has a name that the service makes, in a folder that is one upload's. Nobody but the service that recorded a part
reads it, and a folder is removed as a whole.
"""

import asyncio
import contextlib
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore

from chassis.blobs.protocol import BlobStoreUnavailable
from chassis.blobs.spool import full_disk_named
from headwater.errors import DataLoss

_NAME = re.compile(r"[0-9a-z-]{1,80}", re.ASCII)
_READ_BYTES = 2**20


class PartLost(DataLoss):
    """A part that was durable is not there."""

    reason = "UPLOAD_PART_LOST"
    text = "A part of the upload is missing from the store; upload it again."


class Staging(Protocol):
    """Parts by folder and name; both are lower-case letters, digits and ``-``."""

    async def put(self, folder: str, name: str, chunks: AsyncIterable[bytes]) -> int:
        """Store a part; when this returns it is durable. Returns its size in bytes.

        Raises:
            BlobStoreFull: there is no room; nothing is stored.
            PartLost: the folder was removed meanwhile.
        """

    def open(self, folder: str, name: str) -> AsyncIterator[bytes]:
        """The bytes of a part, in order.

        Raises:
            PartLost: it is not there.
        """

    async def folders(self) -> list[str]:
        """The folders that have a part, or had one."""

    async def remove(self, folder: str) -> None:
        """Remove the folder and what is in it, if it is there."""


class LocalStaging(Staging):
    """Parts as files under ``root``, which any number of processes may share."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    async def put(self, folder: str, name: str, chunks: AsyncIterable[bytes]) -> int:
        """See Staging."""
        directory = self._root / _checked(folder)
        temporary = directory / f"{uuid.uuid4().hex}.new"
        with full_disk_named(), _removal_named():
            await asyncio.to_thread(_make, directory)
            file = await asyncio.to_thread(temporary.open, "xb")
        try:
            with full_disk_named():
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
                size_bytes = file.tell()
                with _removal_named():
                    await asyncio.to_thread(_publish, file, temporary, directory / _checked(name))
        finally:
            with contextlib.suppress(OSError):  # closing writes what is in the buffer, for which there may be no room
                file.close()
            temporary.unlink(missing_ok=True)
        return size_bytes

    async def open(self, folder: str, name: str) -> AsyncIterator[bytes]:
        """See Staging."""
        path = self._root / _checked(folder) / _checked(name)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except FileNotFoundError as error:
            raise PartLost from error
        with file:
            while chunk := await asyncio.to_thread(file.read, _READ_BYTES):
                yield chunk

    async def folders(self) -> list[str]:
        """See Staging."""
        if not self._root.exists():
            return []
        return sorted(await asyncio.to_thread(os.listdir, self._root))

    async def remove(self, folder: str) -> None:
        """See Staging."""
        await asyncio.to_thread(shutil.rmtree, self._root / _checked(folder), ignore_errors=True)


class ObjectStaging(Staging):
    """Parts as objects of ``store``."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, folder: str, name: str, chunks: AsyncIterable[bytes]) -> int:
        """See Staging. An object appears when it is complete."""
        size_bytes = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size_bytes
            async for chunk in chunks:
                size_bytes += len(chunk)
                yield chunk

        with _errors():
            await obstore.put_async(self._store, f"{_checked(folder)}/{_checked(name)}", counted())
        return size_bytes

    async def open(self, folder: str, name: str) -> AsyncIterator[bytes]:
        """See Staging."""
        with _errors():
            found = await obstore.get_async(self._store, f"{_checked(folder)}/{_checked(name)}")
            async for chunk in found.stream(min_chunk_size=_READ_BYTES):
                yield bytes(chunk)

    async def folders(self) -> list[str]:
        """See Staging."""
        with _errors():
            listed = await obstore.list_with_delimiter_async(self._store)
        return sorted(prefix.rstrip("/") for prefix in listed["common_prefixes"])

    async def remove(self, folder: str) -> None:
        """See Staging."""
        with _errors():
            async for batch in obstore.list(self._store, prefix=_checked(folder)):
                paths = [each["path"] for each in batch]
                with contextlib.suppress(NotFoundError, FileNotFoundError):
                    await obstore.delete_async(self._store, paths)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a part")
    return name


def _make(directory: Path) -> None:
    new = [directory]
    while not new[-1].parent.exists():
        new.append(new[-1].parent)
    directory.mkdir(parents=True, exist_ok=True)
    for path in new:
        _sync(path.parent)


def _publish(file: BinaryIO, temporary: Path, final: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    temporary.rename(final)
    _sync(final.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _removal_named() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise PartLost from error


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise PartLost from error
    except BaseError as error:
        raise BlobStoreUnavailable(retry_after_ms=1000) from error

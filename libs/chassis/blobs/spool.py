"""Bytes on their way in: written to a file under a temporary name and digested while they come."""

import asyncio
import contextlib
import errno
import os
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from chassis.blobs.digests import BytesLike, Scheme, hasher, scheme_of
from chassis.blobs.direct import DirectFile
from chassis.blobs.protocol import Blob, BlobCorrupt, BlobStoreFull, BlobWriter

_BUFFER_BYTES = 2**18


Publish: TypeAlias = Callable[[Path, str], Awaitable[None]]
"""Stores a complete file under its digest, by moving it or otherwise."""


class SpooledWriter(BlobWriter):
    """Writes into a new file in ``folder``, which ``publish`` gets when it is complete.

    ``durable``: the file's bytes are on the disk when it is sealed. ``direct``: see ``direct.py``.
    """

    def __init__(self, folder: Path, scheme: Scheme, publish: Publish, *, durable: bool, direct: bool = False) -> None:
        self._path = folder / uuid.uuid4().hex
        self._publish = publish
        self._scheme = scheme
        self._durable = durable
        self._hasher = hasher(scheme)
        self._size_bytes = 0
        kind = DirectFile if direct else _CachedFile
        with full_disk_named():
            self._file = kind(self._path, self._hasher.update)

    def write(self, data: BytesLike) -> None:
        """See BlobWriter."""
        with full_disk_named():
            self._file.write(data)
        self._size_bytes += len(data)

    def seal(self) -> Blob:
        """See BlobWriter."""
        with full_disk_named():
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o444)
            if self._durable:
                os.fsync(self._file.fileno())
        self._file.close()
        return Blob(self._digest(), self._size_bytes)

    async def publish(self) -> None:
        """See BlobWriter."""
        with full_disk_named():
            await self._publish(self._path, self._digest())

    def discard(self) -> None:
        """See BlobWriter. The file is gone already if publishing has moved it."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _digest(self) -> str:
        return f"{self._scheme}:{self._hasher.hexdigest()}"


class _CachedFile:
    """A new file, as files are written commonly; ``look`` is called with all bytes, in order."""

    def __init__(self, path: Path, look: Callable[[BytesLike], object]) -> None:
        # Buffered for what is small; what is larger than the buffer goes to the system without a copy.
        self._file = path.open("xb", _BUFFER_BYTES)
        self._look = look
        self.flush, self.fileno = self._file.flush, self._file.fileno

    def write(self, data: BytesLike) -> None:
        self._look(data)
        self._file.write(data)

    def close(self) -> None:
        # Closing writes what is in the buffer, for which there may be no room.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def full_disk_named() -> Iterator[None]:
    """Turns the system's error for a full disk, or a file that may not grow, into BlobStoreFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BlobStoreFull from error
        raise


async def verified(digest: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """``chunks``, the last of which is given only when all of them together have ``digest``; else BlobCorrupt."""
    scheme = scheme_of(digest)
    digested = hasher(scheme)
    last = b""
    async for chunk in chunks:
        await asyncio.to_thread(digested.update, chunk)
        if last:
            yield last
        last = chunk
    if f"{scheme}:{digested.hexdigest()}" != digest:
        raise BlobCorrupt(digest=digest)
    if last:
        yield last


def remove_older(folder: Path, older_than_s: float) -> int:
    """Remove files of ``folder`` that were last written that long ago; returns how many."""
    removed = 0
    oldest = time.time() - older_than_s
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                file.unlink()
                removed += 1
    return removed

"""Blobs in an object store: S3, Google Cloud Storage, Azure, or any other that obstore speaks to.

    sha256/ab/abcdef…    a blob; it appears when its upload is complete (and blake3/…)

A put is spooled to this machine's disk first, because an object's name, its digest, is known only at the end. The
uploads of interrupted puts are never visible; let a life-cycle rule of the bucket abort incomplete multipart uploads.
"""

import asyncio
import collections
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore

from chassis.blobs.digests import Scheme, check_digest, key_of, scheme_of
from chassis.blobs.protocol import BlobNotFound, Blobs, BlobStoreUnavailable, BlobWriter, length_within
from chassis.blobs.scratch import Scratch
from chassis.blobs.spool import SpooledWriter, remove_older, verified

_READ_BYTES = 2**20
_REMEMBERED_SIZES = 100_000


class ObjectStoreBlobs(Blobs):
    """Blobs in ``store``.

    Args:
        store: where they are kept.
        cache_max_bytes: the local copies that :meth:`local_path` makes take this much at most, or one file more; the
            least recently used go first.
    """

    def __init__(self, store: ObjectStore, *, cache_max_bytes: int = 10 * 2**30) -> None:
        self._store = store
        self._cache_max_bytes = cache_max_bytes
        self._scratch: Scratch | None = None
        self._making_scratch = threading.Lock()
        self._copies: collections.OrderedDict[str, int] = collections.OrderedDict()
        self._sizes: dict[str, int] = {}

    def writer(self, scheme: Scheme = Scheme.SHA256, *, direct: bool = False) -> BlobWriter:
        """See Blobs. Never direct: what is spooled is read at once."""
        return SpooledWriter(self._own_folder("incoming"), scheme, self._publish, durable=False)

    def open(self, digest: str) -> AsyncIterator[bytes]:
        """See Blobs."""
        return verified(digest, self._read(key_of(digest), digest))

    async def read_range(self, digest: str, start: int, length: int) -> bytes:
        """See Blobs."""
        within = length_within(start, length, await self.size_bytes(digest))
        if within == 0:  # object stores refuse an empty range
            return b""
        with _errors(digest):
            return bytes(await obstore.get_range_async(self._store, key_of(digest), start=start, length=within))

    async def exists(self, digest: str) -> bool:
        """See Blobs."""
        try:
            await self._head(digest)
        except BlobNotFound:
            return False
        return True

    async def size_bytes(self, digest: str) -> int:
        """See Blobs."""
        if digest not in self._sizes:
            size_bytes = (await self._head(digest))["size"]
            while len(self._sizes) >= _REMEMBERED_SIZES:
                del self._sizes[next(iter(self._sizes))]
            self._sizes[digest] = size_bytes
        return self._sizes[digest]

    async def local_path(self, digest: str) -> Path:
        """See Blobs. A copy in this process's own cache, removed on :meth:`close`."""
        path = self._copy(digest)
        if digest not in self._copies:
            self._copies[digest] = await self._download(digest, path)
        self._copies.move_to_end(digest)
        while len(self._copies) > 1 and sum(self._copies.values()) > self._cache_max_bytes:
            oldest, _ = self._copies.popitem(last=False)
            self._copy(oldest).unlink(missing_ok=True)
        return path

    async def delete(self, digest: str) -> None:
        """See Blobs."""
        self._sizes.pop(digest, None)
        with contextlib.suppress(BlobNotFound), _errors(digest):
            await obstore.delete_async(self._store, key_of(digest))

    async def collect_leftovers(self, older_than_s: float = 86_400) -> int:
        """See Blobs."""
        return await asyncio.to_thread(remove_older, self._own_folder("incoming"), older_than_s)

    async def check(self) -> None:
        """See Blobs."""
        await self.exists("sha256:" + 64 * "0")

    async def close(self) -> None:
        """See Blobs."""
        self._copies.clear()
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.remove)
            self._scratch = None

    async def _publish(self, file: Path, digest: str) -> None:
        # Always uploaded, also over an equal one: that heals it if it was damaged.
        with _errors(digest):
            await obstore.put_async(self._store, key_of(digest), file)

    async def _download(self, digest: str, path: Path) -> int:
        async def move(file: Path, _digest: str) -> None:
            await asyncio.to_thread(file.replace, path)

        writer = SpooledWriter(self._own_folder("incoming"), scheme_of(digest), move, durable=False)
        try:
            async for chunk in self.open(digest):
                await asyncio.to_thread(writer.write, chunk)
            blob = await asyncio.to_thread(writer.seal)
            await writer.publish()
        finally:
            writer.discard()
        return blob.size_bytes

    def _copy(self, digest: str) -> Path:
        return self._own_folder("copies") / check_digest(digest).replace(":", "-")

    def _own_folder(self, name: str) -> Path:
        with self._making_scratch:
            if self._scratch is None:
                self._scratch = Scratch()
            return self._scratch.subfolder(name)

    async def _head(self, digest: str) -> Any:
        with _errors(digest):
            return await obstore.head_async(self._store, key_of(digest))

    async def _read(self, key: str, digest: str) -> AsyncIterator[bytes]:
        with _errors(digest):
            found = await obstore.get_async(self._store, key)
            async for chunk in found.stream(min_chunk_size=_READ_BYTES):
                yield bytes(chunk)


@contextlib.contextmanager
def _errors(digest: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BlobNotFound(digest=digest) from error
    except BaseError as error:
        raise BlobStoreUnavailable(retry_after_ms=1000) from error

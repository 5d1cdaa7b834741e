"""What every blob store promises; tests/contract/chassis/test_blobs.py holds each of them to it."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

from chassis.blobs.digests import BytesLike, Scheme, scheme_of
from chassis.threads import opened_in_thread
from headwater.errors import DataLoss, InvalidArgument, NotFound, OutOfRange, ResourceExhausted, Unavailable

_CHUNK_BYTES = 2**20


class DigestMismatch(InvalidArgument):
    """The bytes sent are not those that were declared; nothing was stored."""

    reason = "DIGEST_MISMATCH"
    text = "The bytes do not match the declared digest."


class BlobNotFound(NotFound):
    """No blob has this digest."""

    reason = "BLOB_NOT_FOUND"
    text = "No bytes are stored under this digest."


class BlobCorrupt(DataLoss):
    """The stored bytes do not match their digest (promise 5)."""

    reason = "BLOB_CORRUPT"


class BlobStoreFull(ResourceExhausted):
    """There is no room for more bytes."""

    reason = "BLOB_STORE_FULL"
    text = "There is no room left for more bytes."


class BlobStoreUnavailable(Unavailable):
    """The store does not answer, or refuses our credentials."""

    reason = "BLOB_STORE_UNAVAILABLE"
    text = "The blob store cannot be reached right now."


class RangeOutside(OutOfRange):
    """The range does not begin within the blob."""

    reason = "RANGE_OUTSIDE_BLOB"
    text = "The range does not begin within the stored bytes."


def length_within(start: int, length: int, size_bytes: int) -> int:
    """How much of a range lies within a blob of ``size_bytes``; raise RangeOutside if it does not begin there."""
    if start < 0 or length < 0 or start > size_bytes:
        raise RangeOutside(start=start, length=length, size_bytes=size_bytes)
    return min(length, size_bytes - start)


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: ``digest`` is ``sha256:<hex>``, or that of another scheme."""

    digest: str
    size_bytes: int


class BlobWriter(Protocol):
    """A blob on its way in. ``write``, ``seal`` and ``discard`` block: call them from a thread, one at a time."""

    def write(self, data: BytesLike) -> None:
        """Take the next bytes. They may be reused when this returns.

        Raises:
            BlobStoreFull: there is no room.
        """

    def seal(self) -> Blob:
        """No more bytes come; returns what they are going to be. What takes long about keeping them is done here.

        Raises:
            BlobStoreFull: there is no room.
        """

    async def publish(self) -> None:
        """Store the sealed bytes under their digest; when this returns they are durable there (promise 1)."""

    def discard(self) -> None:
        """Remove what was not published. Call it in the end, whatever happened; it may be called again."""


class Blobs(Protocol):
    """Immutable bytes by their digest. A digest that is not well formed raises InvalidDigest everywhere."""

    def writer(self, scheme: Scheme = Scheme.SHA256, *, direct: bool = False) -> BlobWriter:
        """Begin to store bytes that come one after the other; blocks. Bytes that are there may come again.

        ``direct``: past the system's file cache where the store can do so, for large blobs that are not read at once.

        Raises:
            BlobStoreFull: there is no room.
        """

    async def put(self, chunks: AsyncIterable[bytes], *, expected_digest: str = "") -> Blob:
        """Store the bytes; when this returns they are durable (promise 1).

        Raises:
            DigestMismatch: ``expected_digest`` is given and is not that of the bytes; nothing is stored.
            BlobStoreFull: there is no room.
        """
        scheme = scheme_of(expected_digest) if expected_digest else Scheme.SHA256
        writer = await opened_in_thread(lambda: self.writer(scheme), lambda unused: unused.discard())
        try:
            await _write_all(writer, chunks)
            blob = await asyncio.to_thread(writer.seal)
            if expected_digest and blob.digest != expected_digest:
                raise DigestMismatch(declared=expected_digest, received=blob.digest)
            await writer.publish()
            return blob
        finally:
            writer.discard()

    def open(self, digest: str) -> AsyncIterator[bytes]:
        """All bytes in order, in chunks of about 1 MiB; the last one only after the digest has been verified.

        Raises:
            BlobNotFound, BlobCorrupt
        """

    async def read_range(self, digest: str, start: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``start``, fewer at the end. Not verified: check what you read.

        Raises:
            BlobNotFound
            RangeOutside: ``start`` is negative or past the end, or ``length`` is negative.
        """

    async def exists(self, digest: str) -> bool:
        """Whether the bytes are stored."""

    async def size_bytes(self, digest: str) -> int:
        """How many bytes are stored under ``digest``, or raise BlobNotFound."""

    async def local_path(self, digest: str) -> Path:
        """A verified read-only file with the bytes, for memory mapping. Map or open it at once; it may go later.

        Raises:
            BlobNotFound, BlobCorrupt
        """

    async def local_paths(self, digests: Sequence[str]) -> list[Path]:
        """As ``local_path``, of many blobs, which may cost little more than of one."""
        return list(await asyncio.gather(*(self.local_path(digest) for digest in digests)))

    async def own_file(self, digest: str) -> Path | None:
        """The file that the bytes are in, where the store keeps them in files of this machine; not verified, as
        ``read_range``.

        Raises:
            BlobNotFound
        """
        return None

    async def delete(self, digest: str) -> None:
        """Remove the bytes if they are there."""

    async def collect_leftovers(self, older_than_s: float = 86_400) -> int:
        """Remove what interrupted puts left behind that long ago; returns how many things were removed."""

    async def check(self) -> None:
        """Return when the store answers.

        Raises:
            BlobStoreUnavailable: it does not.
        """

    async def close(self) -> None:
        """Release what is held."""


async def read_in_chunks(blobs: Blobs, digest: str, start: int, length: int) -> AsyncGenerator[bytes]:
    """A range in chunks of at most 1 MiB; to the end where ``length`` is 0. Not verified, as ``read_range``.

    Raises:
        BlobNotFound, RangeOutside
    """
    size_bytes = await blobs.size_bytes(digest)
    end = start + length_within(start, length or max(size_bytes - start, 0), size_bytes)
    while start < end:
        chunk = await blobs.read_range(digest, start, min(_CHUNK_BYTES, end - start))
        yield chunk
        start += len(chunk)


async def _write_all(writer: BlobWriter, chunks: AsyncIterable[bytes]) -> None:
    waiting: list[bytes] = []
    waiting_bytes = 0

    def write() -> None:
        for chunk in waiting:
            writer.write(chunk)

    async for chunk in chunks:
        waiting.append(chunk)
        waiting_bytes += len(chunk)
        if waiting_bytes >= _CHUNK_BYTES:  # one hop to a thread for many small chunks
            await asyncio.to_thread(write)
            waiting, waiting_bytes = [], 0
    await asyncio.to_thread(write)

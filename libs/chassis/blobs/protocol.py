"""What every blob store promises; tests/contract/chassis/test_blobs.py holds each of them to it."""

import dataclasses
import re
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Protocol

from headwater.errors import DataLoss, InvalidArgument, NotFound

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class InvalidDigest(InvalidArgument):
    """Not a digest of the form ``sha256:<64 hex digits>``."""

    reason = "INVALID_DIGEST"
    text = "A digest must look like sha256:<64 lower-case hex digits>."


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


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is well formed, or raise InvalidDigest."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidDigest
    return digest


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes: ``digest`` is ``sha256:<hex>``."""

    digest: str
    size_bytes: int


class Blobs(Protocol):
    """Immutable bytes by their SHA-256. A digest that is not well formed raises InvalidDigest everywhere."""

    async def put(self, chunks: AsyncIterable[bytes], *, expected_digest: str = "") -> Blob:
        """Store the bytes; when this returns they are durable (promise 1). The same bytes may be put any number of times.

        Raises:
            DigestMismatch: ``expected_digest`` is given and is not that of the bytes; nothing is stored.
            ResourceExhausted: no room (reason BLOB_STORE_FULL).
        """

    def open(self, digest: str) -> AsyncIterator[bytes]:
        """All bytes in order, in chunks of up to 1 MiB. The last chunk is given only after the digest has been verified.

        Raises:
            BlobNotFound, BlobCorrupt
        """

    async def read_range(self, digest: str, start: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``start``, fewer at the end. Not verified: check what you read.

        Raises:
            BlobNotFound
            OutOfRange: ``start`` is negative or past the end, or ``length`` is negative.
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

    async def delete(self, digest: str) -> None:
        """Remove the bytes if they are there."""

    async def collect_leftovers(self, older_than_s: float = 86_400) -> int:
        """Remove what interrupted puts left behind that long ago; returns how many things were removed."""

    async def check(self) -> None:
        """Return when the store answers; raise Unavailable when it does not."""

    async def close(self) -> None:
        """Release what is held."""

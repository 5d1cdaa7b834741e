"""Bytes on their way in: written to a file under a temporary name and hashed while they come."""

import asyncio
import contextlib
import dataclasses
import errno
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from chassis.blobs.protocol import BlobCorrupt, BlobStoreFull, DigestMismatch

_WRITE_BYTES = 2**20


@dataclasses.dataclass(frozen=True, slots=True)
class Spooled:
    """A complete temporary file."""

    path: Path
    digest: str
    size_bytes: int


@contextlib.asynccontextmanager
async def spooled(
    folder: Path, chunks: AsyncIterable[bytes], *, expected_digest: str = "", durable: bool = True
) -> AsyncIterator[Spooled]:
    """All of ``chunks`` in a new read-only file in ``folder``; it is removed after the block unless it was moved.

    ``durable``: the file's bytes are on the disk before the block begins.

    Raises:
        DigestMismatch: the bytes are not those of ``expected_digest``.
        BlobStoreFull: the disk is.
    """
    path = folder / uuid.uuid4().hex
    try:
        with full_disk_named(), await asyncio.to_thread(path.open, "xb") as file:
            digest, size_bytes = await _write(file, chunks)
            await asyncio.to_thread(_finish, file, durable)
        if expected_digest and digest != expected_digest:
            raise DigestMismatch(declared=expected_digest, received=digest)
        yield Spooled(path, digest, size_bytes)
    finally:
        path.unlink(missing_ok=True)


async def _write(file: BinaryIO, chunks: AsyncIterable[bytes]) -> tuple[str, int]:
    hasher = hashlib.sha256()
    size_bytes = 0
    waiting: list[bytes] = []
    waiting_bytes = 0

    def write() -> None:
        for chunk in waiting:
            hasher.update(chunk)
            file.write(chunk)

    async for chunk in chunks:
        waiting.append(chunk)
        waiting_bytes += len(chunk)
        if waiting_bytes >= _WRITE_BYTES:  # one hop to a thread for many small chunks
            await asyncio.to_thread(write)
            size_bytes += waiting_bytes
            waiting, waiting_bytes = [], 0
    await asyncio.to_thread(write)
    return f"sha256:{hasher.hexdigest()}", size_bytes + waiting_bytes


def _finish(file: BinaryIO, durable: bool) -> None:
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    if durable:
        os.fsync(file.fileno())


@contextlib.contextmanager
def full_disk_named() -> Iterator[None]:
    """Turns the system's error for a full disk into BlobStoreFull."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BlobStoreFull from error
        raise


async def verified(digest: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """``chunks``, the last of which is given only when all of them together have ``digest``; else BlobCorrupt."""
    hasher = hashlib.sha256()
    last = b""
    async for chunk in chunks:
        await asyncio.to_thread(hasher.update, chunk)
        if last:
            yield last
        last = chunk
    if f"sha256:{hasher.hexdigest()}" != digest:
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

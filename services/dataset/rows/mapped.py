"""Packs mapped into memory for reading.

Promise 5, decided: the whole pack is hashed before its first batch is served, and again whenever its file has changed
since (``Blobs.local_path`` compares inode, size and time of change), so a flipped bit is DATA_LOSS and never an answer.
Later reads of an unchanged file cost one ``stat`` each. The alternatives: hashing on every read would cost more than
sending the rows does; checking chunk by chunk would leave the IPC metadata, which native code trusts, unchecked.
Readers who want the proof end to end recompute the split's root from the rows (``headwater.datasets.verify``).
"""

import asyncio
import collections
import ctypes
import mmap
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from chassis.blobs import BlobNotFound, Blobs
from headwater.errors import DataLoss
from headwater.tree import DIGEST_BYTES, RowHasher
from services.dataset.errors import PackCorrupt
from services.dataset.rows.layout import ROW_DIGEST

# The standard library maps files of its own only, and Arrow does not advise.
_LIBC = ctypes.CDLL(None, use_errno=True)


class MappedPack:
    """One pack. Its batches point into the mapping and keep it alive."""

    def __init__(self, digest: str, source: pa.NativeFile) -> None:
        self.digest = digest
        self._mapping = source.read_buffer(source.size()) if isinstance(source, pa.MemoryMappedFile) else None
        try:
            reader = pa.ipc.open_file(source if self._mapping is None else pa.BufferReader(self._mapping))
            blocks = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        except (pa.ArrowInvalid, OSError) as error:
            raise PackCorrupt(pack=digest) from error
        # Packs of an older release have no digests in them.
        has_digests = ROW_DIGEST in reader.schema.names
        schema = reader.schema.remove_metadata()
        self.schema = schema.remove(schema.get_field_index(ROW_DIGEST)) if has_digests else schema
        self._blocks = [block.drop_columns([ROW_DIGEST]) if has_digests else block for block in blocks]
        self._digests = [block.column(ROW_DIGEST) for block in blocks] if has_digests else None
        # To look at the beginnings of the blocks has mapped much of what lies around them.
        self.release()

    def rows(self, block: int, first: int, count: int) -> pa.RecordBatch:
        """Rows of a block, without copying them.

        Raises:
            PackCorrupt: the pack has no such rows.
        """
        if block >= len(self._blocks) or first + count > self._blocks[block].num_rows:
            raise PackCorrupt(pack=self.digest)
        rows = self._blocks[block]
        return rows if count == rows.num_rows else rows.slice(first, count)

    def row_digests(self, block: int, first: int, count: int) -> bytes:
        """The digests of rows of a block, 32 bytes each.

        Raises:
            PackCorrupt: the pack has no such rows.
        """
        rows = self.rows(block, first, count)
        if self._digests is None:
            return b"".join(piece.digests for piece in RowHasher(rows.schema).hash(rows))
        column = self._digests[block]
        start = (column.offset + first) * DIGEST_BYTES
        return bytes(memoryview(column.buffers()[1])[start : start + count * DIGEST_BYTES])

    def release(self) -> None:
        """Give the pages of the file back to the system: while they are mapped in they count as the process's memory.
        Whoever touches them again finds them, in the system's cache or on disk."""
        if self._mapping is not None:
            address, size = ctypes.c_void_p(self._mapping.address), ctypes.c_size_t(self._mapping.size)
            _LIBC.madvise(address, size, mmap.MADV_DONTNEED)


class MappedPacks:
    """Opens packs and keeps the most recently used ones open. For one event loop."""

    def __init__(self, blobs: Blobs, capacity: int) -> None:
        self._blobs = blobs
        self._capacity = capacity
        self._open: collections.OrderedDict[str, MappedPack] = collections.OrderedDict()
        self._told: list[Callable[[str], Awaitable[None]]] = []

    def when_damaged(self, tell: Callable[[str], Awaitable[None]]) -> None:
        """Have somebody told of each pack whose bytes turn out to be missing or wrong, before its reader is."""
        self._told.append(tell)

    async def open(self, digests: Iterable[str]) -> dict[str, MappedPack]:
        """The packs, verified.

        Raises:
            DataLoss: a pack's bytes are missing or are not those that were stored.
        """
        paths = await self.paths(digests)
        missing = {digest: path for digest, path in paths.items() if digest not in self._open}
        if missing:
            self._open.update(await asyncio.to_thread(_map, missing))
        opened = {digest: self._open[digest] for digest in paths}
        for digest in opened:
            self._open.move_to_end(digest)
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return opened

    def forget(self, digests: Iterable[str]) -> None:
        """Let go of packs that are removed: a file that is mapped takes its place on the disk."""
        for digest in digests:
            self._open.pop(digest, None)

    async def paths(self, digests: Iterable[str]) -> dict[str, Path]:
        """The packs' files, verified as by ``open``, for a reader who maps them himself."""
        unique = list(dict.fromkeys(digests))
        try:
            return dict(zip(unique, await self._blobs.local_paths(unique), strict=True))
        except (DataLoss, BlobNotFound):
            # Which one it is, is told when each is asked for alone.
            return {digest: await self._path(digest) for digest in unique}

    async def _path(self, digest: str) -> Path:
        try:
            return await self._blobs.local_path(digest)
        except (DataLoss, BlobNotFound) as error:
            self._open.pop(digest, None)
            for tell in self._told:
                await tell(digest)
            raise PackCorrupt(pack=digest) from error


def _map(paths: Mapping[str, Path]) -> dict[str, MappedPack]:
    return {digest: MappedPack(digest, pa.memory_map(str(path))) for digest, path in paths.items()}

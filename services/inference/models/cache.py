"""Local copies of model files, by digest. Losing them costs a download."""

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

from chassis.blobs import BlobCorrupt, BlobNotFound, Blobs
from chassis.threads import opened_in_thread
from headwater.errors import DataLoss, ResourceExhausted
from headwater.names import ModelName
from services.inference.models.source import ModelFile, ModelSource


class ModelTooLarge(ResourceExhausted):
    """The file is larger than this service loads."""

    reason = "MODEL_TOO_LARGE"


class ModelCache:
    """Files of model versions: kept in ``blobs``, fetched from ``source`` when they are not there or are damaged."""

    def __init__(self, source: ModelSource, blobs: Blobs, *, max_file_bytes: int) -> None:
        self._source = source
        self._blobs = blobs
        self._max_file_bytes = max_file_bytes

    async def read(self, model: ModelName, file: ModelFile) -> bytes:
        """All bytes of ``file``, verified against its digest.

        Raises:
            ModelTooLarge: see the setting ``max_model_bytes``.
            DigestMismatch: the source sent other bytes than its digest says; they were not kept.
            Unavailable: the bytes are not here and the source cannot be asked.
        """
        with await self.open(model, file) as opened:
            return await asyncio.to_thread(opened.read)

    async def open(self, model: ModelName, file: ModelFile) -> BinaryIO:
        """``file``, verified and open for reading, also after its copy was forgotten.

        Raises:
            ModelTooLarge, DigestMismatch, Unavailable: see :meth:`read`.
        """
        if file.size_bytes > self._max_file_bytes:
            raise ModelTooLarge(
                f"{file.path} has {file.size_bytes} bytes; this service loads files of up to {self._max_file_bytes}."
            )
        try:
            return await self._open_local(file.digest)
        except BlobNotFound:
            pass
        except BlobCorrupt:
            await self._blobs.delete(file.digest)
        await self._blobs.put(self._download(model, file), expected_digest=file.digest)
        return await self._open_local(file.digest)

    async def forget(self, digest: str) -> None:
        """Remove the copy of a file that nothing serves any more."""
        await self._blobs.delete(digest)

    async def _download(self, model: ModelName, file: ModelFile) -> AsyncIterator[bytes]:
        """The bytes as the source sends them; no more than one message beyond what the file has."""
        received = 0
        async for chunk in self._source.download(model, file.digest):
            received += len(chunk)
            if received > file.size_bytes:
                raise DataLoss("More bytes came than the file has.", digest=file.digest, size_bytes=file.size_bytes)
            yield chunk

    async def _open_local(self, digest: str) -> BinaryIO:
        path = await self._blobs.local_path(digest)
        try:
            return await opened_in_thread(lambda: path.open("rb"), lambda file: file.close())
        except FileNotFoundError as error:  # forgotten in this moment
            raise BlobNotFound(digest=digest) from error

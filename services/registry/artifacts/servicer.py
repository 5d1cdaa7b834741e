"""ArtifactService: convert, call, convert."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from headwater.names import ArtifactName, ArtifactUploadName, ProjectName
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from services.registry.artifacts import convert
from services.registry.artifacts.artifacts import Artifacts
from services.registry.convert import origin
from services.registry.uploads import convert as upload_convert
from services.registry.uploads.uploads import Uploads


class ArtifactServicer(artifacts_pb2_grpc.ArtifactServiceServicer):
    """See protos/headwater/registry/v1/artifacts.proto."""

    def __init__(self, artifacts: Artifacts, uploads: Uploads, *, idle_s: float) -> None:
        self._artifacts = artifacts
        self._uploads = uploads
        self._idle_s = idle_s

    async def UploadArtifact(
        self, request_iterator: AsyncIterator[artifacts_pb2.UploadArtifactRequest], _context: Any
    ) -> artifacts_pb2.Artifact:
        """See the proto."""
        messages = convert.lively(request_iterator, self._idle_s)
        header = await convert.header(messages)
        parent = ProjectName.parse(header.parent, "header.parent")
        chunks = convert.data(messages)
        artifact = await self._artifacts.upload(parent, header.filename, header.digest, chunks, origin(header))
        return convert.to_proto(artifact)

    async def CreateArtifactUpload(
        self, request: artifacts_pb2.CreateArtifactUploadRequest, _context: Any
    ) -> artifacts_pb2.ArtifactUpload:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        new = upload_convert.new_upload(request)
        return upload_convert.to_proto(await self._uploads.create(parent, new, origin(request, request.request_id)))

    async def GetArtifactUpload(
        self, request: artifacts_pb2.GetArtifactUploadRequest, _context: Any
    ) -> artifacts_pb2.ArtifactUpload:
        """See the proto."""
        return upload_convert.to_proto(await self._uploads.get(ArtifactUploadName.parse(request.name)))

    async def WriteArtifactUpload(
        self, request_iterator: AsyncIterator[artifacts_pb2.WriteArtifactUploadRequest], _context: Any
    ) -> artifacts_pb2.ArtifactUpload:
        """See the proto."""
        messages = convert.lively(request_iterator, self._idle_s)
        first = await upload_convert.first(messages)
        chunks = upload_convert.data(first, messages)
        upload = await self._uploads.write(ArtifactUploadName.parse(first.name), first.offset, chunks)
        return upload_convert.to_proto(upload)

    async def FinishArtifactUpload(
        self, request: artifacts_pb2.FinishArtifactUploadRequest, _context: Any
    ) -> artifacts_pb2.Artifact:
        """See the proto."""
        name = ArtifactUploadName.parse(request.name)
        return convert.to_proto(await self._uploads.finish(name, request.digest, origin(request)))

    async def AbortArtifactUpload(
        self, request: artifacts_pb2.AbortArtifactUploadRequest, _context: Any
    ) -> artifacts_pb2.ArtifactUpload:
        """See the proto."""
        name = ArtifactUploadName.parse(request.name)
        return upload_convert.to_proto(await self._uploads.abort(name, origin(request)))

    async def ImportArtifact(
        self, request: artifacts_pb2.ImportArtifactRequest, _context: Any
    ) -> artifacts_pb2.Artifact:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        artifact = await self._artifacts.import_(parent, request.uri, request.filename, request.digest, origin(request))
        return convert.to_proto(artifact)

    async def GetArtifact(self, request: artifacts_pb2.GetArtifactRequest, _context: Any) -> artifacts_pb2.Artifact:
        """See the proto."""
        return convert.to_proto(await self._artifacts.get(ArtifactName.parse(request.name)))

    async def DownloadArtifact(
        self, request: artifacts_pb2.DownloadArtifactRequest, _context: Any
    ) -> AsyncIterator[artifacts_pb2.DownloadArtifactResponse]:
        """See the proto."""
        name = ArtifactName.parse(request.name)
        is_whole = not request.offset and not request.length
        read = (
            self._artifacts.download(name)
            if is_whole
            else self._artifacts.download_range(name, request.offset, request.length)
        )
        async with contextlib.aclosing(read) as chunks:
            async for chunk in chunks:
                yield artifacts_pb2.DownloadArtifactResponse(data=chunk)

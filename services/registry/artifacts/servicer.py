"""ArtifactService: convert, call, convert."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from headwater.names import ArtifactName, ProjectName
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc
from services.registry.artifacts import convert
from services.registry.artifacts.artifacts import Artifacts
from services.registry.convert import origin


class ArtifactServicer(artifacts_pb2_grpc.ArtifactServiceServicer):
    """See protos/headwater/registry/v1/artifacts.proto."""

    def __init__(self, artifacts: Artifacts, *, idle_s: float) -> None:
        self._artifacts = artifacts
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

    async def GetArtifact(self, request: artifacts_pb2.GetArtifactRequest, _context: Any) -> artifacts_pb2.Artifact:
        """See the proto."""
        return convert.to_proto(await self._artifacts.get(ArtifactName.parse(request.name)))

    async def DownloadArtifact(
        self, request: artifacts_pb2.DownloadArtifactRequest, _context: Any
    ) -> AsyncIterator[artifacts_pb2.DownloadArtifactResponse]:
        """See the proto."""
        async with contextlib.aclosing(self._artifacts.download(ArtifactName.parse(request.name))) as chunks:
            async for chunk in chunks:
                yield artifacts_pb2.DownloadArtifactResponse(data=chunk)

"""The stubs of one caller, and what tests do with them again and again."""

import dataclasses
from collections.abc import AsyncIterator

import grpc.aio

from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    lineage_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    projects_pb2_grpc,
    runs_pb2,
    runs_pb2_grpc,
)

DEFAULT = "projects/default"
DIGITS = f"{DEFAULT}/models/digits"


@dataclasses.dataclass(frozen=True)
class Client:
    """The stubs of one caller."""

    projects: "projects_pb2_grpc.ProjectServiceAsyncStub"
    runs: "runs_pb2_grpc.RunServiceAsyncStub"
    artifacts: "artifacts_pb2_grpc.ArtifactServiceAsyncStub"
    models: "models_pb2_grpc.ModelServiceAsyncStub"
    lineage: "lineage_pb2_grpc.LineageServiceAsyncStub"

    @classmethod
    def on(cls, channel: grpc.aio.Channel) -> "Client":
        """The stubs on one channel."""
        return cls(
            projects_pb2_grpc.ProjectServiceStub(channel),
            runs_pb2_grpc.RunServiceStub(channel),
            artifacts_pb2_grpc.ArtifactServiceStub(channel),
            models_pb2_grpc.ModelServiceStub(channel),
            lineage_pb2_grpc.LineageServiceStub(channel),
        )

    async def upload(self, content: bytes, *, digest: str = "", chunk: int = 2**20) -> artifacts_pb2.Artifact:
        """Store bytes in the default project; the artifact."""

        async def messages() -> AsyncIterator[artifacts_pb2.UploadArtifactRequest]:
            header = artifacts_pb2.UploadArtifactHeader(parent=DEFAULT, filename="a.bin", digest=digest)
            yield artifacts_pb2.UploadArtifactRequest(header=header)
            for start in range(0, len(content), chunk):
                yield artifacts_pb2.UploadArtifactRequest(data=content[start : start + chunk])

        return await self.artifacts.UploadArtifact(messages())

    async def download(self, name: str) -> bytes:
        """All bytes of an artifact."""
        call = self.artifacts.DownloadArtifact(artifacts_pb2.DownloadArtifactRequest(name=name))
        return b"".join([message.data async for message in call])

    async def start_run(self) -> artifact_pb2.Run:
        """A new run in the default project."""
        return await self.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT))

    async def register(self, content: bytes, path: str = "model.bin", run: str = "") -> artifact_pb2.ModelMetadata:
        """The next version of ``digits``, of one file."""
        artifact = await self.upload(content)
        file = models_pb2.ModelFileReference(path=path, artifact=artifact.name)
        request = models_pb2.CreateModelVersionRequest(parent=DIGITS, files=[file], run=run)
        return await self.models.CreateModelVersion(request)

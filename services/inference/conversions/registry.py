"""Registers what jobs have made, over gRPC."""

import hashlib
from collections.abc import AsyncIterator

import grpc.aio

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, ModelVersionName, ProjectName
from headwater.registry.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    lineage_pb2,
    lineage_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
)
from services.inference.conversions.publishing import NewVersion, Publisher

_UPLOAD_TIMEOUT_S = 600.0
_TIMEOUT_S = 60.0
_MESSAGE_BYTES = 2**20


class RegistryPublisher(Publisher):
    """The registry behind ``channel``, whose errors are Headwater's (see chassis.rpc.client)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._artifacts = artifacts_pb2_grpc.ArtifactServiceStub(channel)
        self._models = models_pb2_grpc.ModelServiceStub(channel)
        self._lineage = lineage_pb2_grpc.LineageServiceStub(channel)

    async def upload(self, project: str, path: str, content: bytes) -> str:
        """See Publisher."""
        header = artifacts_pb2.UploadArtifactHeader(
            parent=str(ProjectName(project)),
            filename=path,
            digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
        )
        stored = await self._artifacts.UploadArtifact(_messages(header, content), timeout=_UPLOAD_TIMEOUT_S)
        return stored.name

    async def publish(self, new: NewVersion) -> ModelVersionName:
        """See Publisher."""
        # The model may have another name by now.
        wanted = models_pb2.GetModelVersionRequest(name=str(new.source.name))
        source = await self._models.GetModelVersion(wanted, timeout=_TIMEOUT_S)
        of = ModelVersionName.parse(source.name)
        references = [
            models_pb2.ModelFileReference(path=path, artifact=name) for path, name in sorted(new.made.files.items())
        ]
        request = models_pb2.CreateModelVersionRequest(
            parent=str(ModelName(of.project, of.model)),
            files=references,
            framework=source.framework,
            architecture=source.kind,
            task=source.task,
            user_metadata=new.made.metadata,
            source=source.name,
            request_id=new.job,
        )
        if source.HasField("preprocessing"):
            request.preprocessing.CopyFrom(source.preprocessing)
        made = await self._models.CreateModelVersion(request, timeout=_TIMEOUT_S)
        edge = artifact_pb2.ArtifactConnection(
            first_name=source.name, second_name=made.name, role=artifact_pb2.ArtifactConnection.ROLE_INPUT
        )
        connected = lineage_pb2.CreateConnectionsRequest(parent=str(ProjectName(of.project)), connections=[edge])
        await self._lineage.CreateConnections(connected, timeout=_TIMEOUT_S)
        return ModelVersionName.parse(made.name)


async def _messages(
    header: artifacts_pb2.UploadArtifactHeader, content: bytes
) -> AsyncIterator[artifacts_pb2.UploadArtifactRequest]:
    yield artifacts_pb2.UploadArtifactRequest(header=header)
    for start in range(0, len(content), _MESSAGE_BYTES):
        yield artifacts_pb2.UploadArtifactRequest(data=content[start : start + _MESSAGE_BYTES])

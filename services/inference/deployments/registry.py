"""Tells the registry of deployments, over gRPC."""

import grpc.aio

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ProjectName
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc, models_pb2, models_pb2_grpc
from services.inference.deployments.lineage import Lineage
from services.inference.deployments.model import Deployment, Use
from services.inference.models.source import SelectorKind

_TIMEOUT_S = 5.0
_INPUT = artifact_pb2.ArtifactConnection.ROLE_INPUT


class RegistryLineage(Lineage):
    """The registry behind ``channel``, whose errors are Headwater's (see chassis.rpc.client)."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._lineage = lineage_pb2_grpc.LineageServiceStub(channel)
        self._models = models_pb2_grpc.ModelServiceStub(channel)

    async def tell(self, deployment: Deployment) -> None:
        """See Lineage."""
        await self._connect(deployment)

    async def tell_use(self, use: Use) -> None:
        """See Lineage."""
        # The model may have another name by now; an edge needs the present one.
        wanted = models_pb2.GetModelVersionRequest(name=str(use.version))
        version = await self._models.GetModelVersion(wanted, timeout=_TIMEOUT_S)
        edge = artifact_pb2.ArtifactConnection(
            first_name=version.name, second_name=str(use.deployment.name), role=_INPUT
        )
        await self._connect(use.deployment, edge)

    async def _connect(self, deployment: Deployment, *edges: artifact_pb2.ArtifactConnection) -> None:
        request = lineage_pb2.CreateConnectionsRequest(
            parent=str(ProjectName(deployment.name.project)),
            artifacts=[artifact_pb2.ArtifactMetadata(deployment=_to_proto(deployment))],
            connections=edges,
        )
        await self._lineage.CreateConnections(request, timeout=_TIMEOUT_S)


def _to_proto(deployment: Deployment) -> artifact_pb2.DeploymentMetadata:
    message = artifact_pb2.DeploymentMetadata(
        id=artifact_pb2.UUID(value=deployment.uid, type=artifact_pb2.UUID.TYPE_DEPLOYMENT),
        name=str(deployment.name),
        model=str(deployment.model),
        model_uid=deployment.model_uid,
        revision=deployment.change,
    )
    message.create_time.FromDatetime(deployment.create_time)
    if deployment.archive_time is not None:
        message.end_time.FromDatetime(deployment.archive_time)
    match deployment.selector.kind:
        case SelectorKind.STAGE:
            message.stage = artifact_pb2.ModelMetadata.Stage.Value(f"STAGE_{deployment.selector.value.upper()}")
        case SelectorKind.ALIAS:
            message.alias = deployment.selector.value
        case SelectorKind.VERSION:
            message.model_version = deployment.selector.value
    return message

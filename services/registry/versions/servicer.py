"""The part of ModelService that is about versions: convert, call, convert."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from services.registry.convert import origin
from services.registry.versions import convert
from services.registry.versions.versions import Versions


class VersionServicer(models_pb2_grpc.ModelServiceServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    async def CreateModelVersion(
        self, request: models_pb2.CreateModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        new = convert.new_version(request, parent)
        return convert.version_to_proto(await self._versions.create(parent, new, origin(request, request.request_id)))

    async def GetModelVersion(
        self, request: models_pb2.GetModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.name)
        return convert.version_to_proto(await self._versions.get(name, which, convert.view(request.view)))

    async def ListModelVersions(
        self, request: models_pb2.ListModelVersionsRequest, _context: Any
    ) -> models_pb2.ListModelVersionsResponse:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        page = await self._versions.page(
            parent,
            request.page_size,
            request.page_token,
            show_inactive=request.show_inactive,
            view=convert.view(request.view),
        )
        return models_pb2.ListModelVersionsResponse(
            model_versions=[convert.version_to_proto(version) for version in page.items],
            next_page_token=page.next_page_token,
        )

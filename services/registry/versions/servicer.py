"""The part of ModelService that is about versions: convert, call, convert."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc
from services.registry.convert import origin
from services.registry.versions import convert
from services.registry.versions.changes import VersionChanges
from services.registry.versions.contents import convert as contents_convert
from services.registry.versions.model import View
from services.registry.versions.tensors import Tensors
from services.registry.versions.versions import Versions


class VersionServicer(models_pb2_grpc.ModelServiceServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(self, versions: Versions, changes: VersionChanges, tensors: Tensors) -> None:
        self._versions = versions
        self._changes = changes
        self._tensors = tensors

    async def CreateModelVersion(
        self, request: models_pb2.CreateModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        new = convert.new_version(request, parent)
        return convert.whole_to_proto(await self._versions.create(parent, new, origin(request, request.request_id)))

    async def GetModelVersion(
        self, request: models_pb2.GetModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.name)
        view = convert.view(request.view)
        version = await self._versions.get(name, which, view)
        return convert.whole_to_proto(version) if view is View.FULL else convert.version_to_proto(version)

    async def ListModelVersions(
        self, request: models_pb2.ListModelVersionsRequest, _context: Any
    ) -> models_pb2.ListModelVersionsResponse:
        """See the proto."""
        page = await self._versions.page(
            convert.parent_of_versions(request.parent),
            request.page_size,
            request.page_token,
            where=request.filter,
            order_by=request.order_by,
            show_inactive=request.show_inactive,
            view=convert.view(request.view),
        )
        return models_pb2.ListModelVersionsResponse(
            model_versions=[convert.version_to_proto(version) for version in page.items],
            next_page_token=page.next_page_token,
        )

    async def UpdateModelVersion(
        self, request: model_versions_pb2.UpdateModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.model_version.name, "model_version.name")
        values = convert.description_changes(request)
        version = await self._changes.describe(name, which, values, request.model_version.etag, origin(request))
        return convert.whole_to_proto(version)

    async def DeprecateModelVersion(
        self, request: model_versions_pb2.DeprecateModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.name)
        replacement = convert.version_name(request.replacement, "replacement") if request.replacement else None
        version = await self._changes.deprecate(name, which, replacement, request.etag, origin(request))
        return convert.whole_to_proto(version)

    async def ArchiveModelVersion(
        self, request: model_versions_pb2.ArchiveModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.name)
        version = await self._changes.archive(name, which, request.etag, origin(request), force=request.force)
        return convert.whole_to_proto(version)

    async def ReactivateModelVersion(
        self, request: model_versions_pb2.ReactivateModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = convert.version_name(request.name)
        version = await self._changes.reactivate(name, which, request.etag, origin(request))
        return convert.whole_to_proto(version)

    async def GetModelVersionDocument(
        self, request: model_versions_pb2.GetModelVersionDocumentRequest, _context: Any
    ) -> model_versions_pb2.ModelVersionDocument:
        """See the proto."""
        name, which = convert.version_name(request.name)
        return model_versions_pb2.ModelVersionDocument(json=await self._versions.document(name, which))

    async def ReadTensor(
        self, request: model_versions_pb2.ReadTensorRequest, _context: Any
    ) -> AsyncIterator[model_versions_pb2.ReadTensorResponse]:
        """See the proto."""
        name, which = convert.version_name(request.name)
        file, tensor = await self._tensors.find(name, which, request.tensor, request.path)
        [described] = contents_convert.tensors_to_proto([tensor])
        yield model_versions_pb2.ReadTensorResponse(tensor=described)
        async with contextlib.aclosing(self._tensors.read(file, tensor, request.offset, request.length)) as chunks:
            async for chunk in chunks:
                yield model_versions_pb2.ReadTensorResponse(data=chunk)

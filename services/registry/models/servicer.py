"""ModelService: convert, call, convert. What is about versions, moves and comparisons is beside those."""

from typing import Any

from headwater.names import ModelName, ProjectName
from headwater.registry.v1 import models_pb2
from services.registry.comparisons.comparing import Comparing
from services.registry.comparisons.servicer import ComparisonServicer
from services.registry.convert import origin
from services.registry.models import convert
from services.registry.models.lifecycle import Lifecycle
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.resolving import Resolver
from services.registry.moves.servicer import MoveServicer
from services.registry.moves.stages import Stages
from services.registry.versions.changes import VersionChanges
from services.registry.versions.servicer import VersionServicer
from services.registry.versions.tensors import Tensors
from services.registry.versions.versions import Versions


class ModelServicer(VersionServicer, MoveServicer, ComparisonServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(
        self,
        models: Models,
        lifecycle: Lifecycle,
        *,
        versions: Versions,
        changes: VersionChanges,
        tensors: Tensors,
        stages: Stages,
        aliases: Aliases,
        resolver: Resolver,
        comparing: Comparing,
    ) -> None:
        VersionServicer.__init__(self, versions, changes, tensors)
        MoveServicer.__init__(self, stages, aliases, resolver)
        ComparisonServicer.__init__(self, comparing)
        self._models = models
        self._lifecycle = lifecycle

    async def CreateModel(self, request: models_pb2.CreateModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        name, about = convert.new_model(request, parent.project)
        told = origin(request, request.request_id)
        return convert.model_to_proto(await self._models.create(name, about, told))

    async def GetModel(self, request: models_pb2.GetModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        return convert.model_to_proto(await self._models.get(ModelName.parse(request.name)))

    async def ListModels(self, request: models_pb2.ListModelsRequest, _context: Any) -> models_pb2.ListModelsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        page = await self._models.page(
            parent,
            request.page_size,
            request.page_token,
            where=request.filter,
            order_by=request.order_by,
            show_inactive=request.show_inactive,
        )
        return models_pb2.ListModelsResponse(
            models=[convert.model_to_proto(model) for model in page.items], next_page_token=page.next_page_token
        )

    async def UpdateModel(self, request: models_pb2.UpdateModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name = ModelName.parse(request.model.name, "model.name")
        values = convert.model_changes(request)
        return convert.model_to_proto(await self._models.describe(name, values, request.model.etag, origin(request)))

    async def RenameModel(self, request: models_pb2.RenameModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name, model_id = ModelName.parse(request.name), convert.model_id(request.model_id)
        return convert.model_to_proto(await self._lifecycle.rename(name, model_id, request.etag, origin(request)))

    async def DeprecateModel(self, request: models_pb2.DeprecateModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name = ModelName.parse(request.name)
        replacement = convert.replacement(request.replacement, name)
        changed = await self._lifecycle.deprecate(name, replacement, request.etag, origin(request))
        return convert.model_to_proto(changed)

    async def ArchiveModel(self, request: models_pb2.ArchiveModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name = ModelName.parse(request.name)
        changed = await self._lifecycle.archive(name, request.etag, origin(request), force=request.force)
        return convert.model_to_proto(changed)

    async def ReactivateModel(self, request: models_pb2.ReactivateModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name = ModelName.parse(request.name)
        return convert.model_to_proto(await self._lifecycle.reactivate(name, request.etag, origin(request)))

    async def CreateObjective(self, request: models_pb2.CreateObjectiveRequest, _context: Any) -> models_pb2.Objective:
        """See the proto."""
        parent, new = ModelName.parse(request.parent, "parent"), convert.new_objective(request)
        added = await self._models.add_objective(parent, new, origin(request, request.request_id))
        return convert.objective_to_proto(parent, added)

    async def ListObjectives(
        self, request: models_pb2.ListObjectivesRequest, _context: Any
    ) -> models_pb2.ListObjectivesResponse:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        page = await self._models.objectives(parent, request.page_size, request.page_token)
        return models_pb2.ListObjectivesResponse(
            objectives=[convert.objective_to_proto(parent, objective) for objective in page.items],
            next_page_token=page.next_page_token,
        )

"""ModelService: convert, call, convert."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, ProjectName, check_segment
from headwater.registry.v1 import models_pb2
from services.registry.convert import origin
from services.registry.models import convert
from services.registry.models.model import Stage
from services.registry.models.models import Models
from services.registry.versions import convert as version_convert
from services.registry.versions.servicer import VersionServicer
from services.registry.versions.stages import Stages
from services.registry.versions.versions import Versions


class ModelServicer(VersionServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(self, models: Models, versions: Versions, stages: Stages) -> None:
        super().__init__(versions)
        self._models = models
        self._stages = stages

    async def CreateModel(self, request: models_pb2.CreateModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        name, display_name, description = convert.new_model(request, parent.project)
        told = origin(request, request.request_id)
        return convert.model_to_proto(await self._models.create(name, display_name, description, told))

    async def GetModel(self, request: models_pb2.GetModelRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        return convert.model_to_proto(await self._models.get(ModelName.parse(request.name)))

    async def ListModels(self, request: models_pb2.ListModelsRequest, _context: Any) -> models_pb2.ListModelsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        page = await self._models.page(parent, request.page_size, request.page_token)
        return models_pb2.ListModelsResponse(
            models=[convert.model_to_proto(model) for model in page.items], next_page_token=page.next_page_token
        )

    async def ResolveModelVersion(
        self, request: models_pb2.ResolveModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name = ModelName.parse(request.name)
        if request.WhichOneof("selector") == "stage":
            version = await self._versions.in_stage(name, version_convert.exclusive_stage(request.stage))
        else:
            version = await self._versions.with_alias(name, check_segment(request.alias, "alias"))
        return version_convert.version_to_proto(version)

    async def SetModelVersionStage(
        self, request: models_pb2.SetModelVersionStageRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = version_convert.version_name(request.name)
        version = await self._stages.move(
            name, which, Stage(request.stage), etag=request.etag, comment=request.comment, origin=origin(request)
        )
        return version_convert.version_to_proto(version)

    async def ListStageTransitions(
        self, request: models_pb2.ListStageTransitionsRequest, _context: Any
    ) -> models_pb2.ListStageTransitionsResponse:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        page = await self._stages.transitions(parent, request.page_size, request.page_token)
        return models_pb2.ListStageTransitionsResponse(
            stage_transitions=[version_convert.transition_to_proto(parent, transition) for transition in page.items],
            next_page_token=page.next_page_token,
        )

    async def SetModelAlias(self, request: models_pb2.SetModelAliasRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name, alias = ModelName.parse(request.name), check_segment(request.alias, "alias")
        which = version_convert.which_version(request.version) if request.version else None
        return convert.model_to_proto(await self._models.set_alias(name, alias, which, request.etag, origin(request)))

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

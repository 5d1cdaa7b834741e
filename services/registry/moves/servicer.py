"""The part of ModelService that is about stages and aliases: convert, call, convert."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, check_segment
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from services.registry.convert import origin
from services.registry.models.convert import model_to_proto
from services.registry.models.model import Stage
from services.registry.moves import convert
from services.registry.moves.aliases import Aliases
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.versions import convert as version_convert


class MoveServicer(models_pb2_grpc.ModelServiceServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(self, stages: Stages, aliases: Aliases, resolver: Resolver) -> None:
        self._stages = stages
        self._aliases = aliases
        self._resolver = resolver

    async def ResolveModelVersion(
        self, request: models_pb2.ResolveModelVersionRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, pointer, time = ModelName.parse(request.name), convert.pointer(request), convert.time(request)
        view = version_convert.view(request.view)
        if time is None:
            return version_convert.version_to_proto(await self._resolver.now(name, pointer, view))
        return version_convert.version_to_proto(await self._resolver.at(name, pointer, time, view))

    async def SetModelVersionStage(
        self, request: models_pb2.SetModelVersionStageRequest, _context: Any
    ) -> artifact_pb2.ModelMetadata:
        """See the proto."""
        name, which = version_convert.version_name(request.name)
        moved = await self._stages.move(
            name,
            which,
            Stage(request.stage),
            etag=request.etag,
            why=convert.why(request),
            origin=origin(request),
        )
        return version_convert.version_to_proto(moved)

    async def ListStageTransitions(
        self, request: models_pb2.ListStageTransitionsRequest, _context: Any
    ) -> models_pb2.ListStageTransitionsResponse:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        page = await self._stages.transitions(parent, request.page_size, request.page_token)
        return models_pb2.ListStageTransitionsResponse(
            stage_transitions=[convert.transition_to_proto(parent, move) for move in page.items],
            next_page_token=page.next_page_token,
        )

    async def SetModelAlias(self, request: models_pb2.SetModelAliasRequest, _context: Any) -> models_pb2.Model:
        """See the proto."""
        name, alias = ModelName.parse(request.name), check_segment(request.alias, "alias")
        which = version_convert.which_version(request.version) if request.version else None
        changed = await self._aliases.set(
            name, alias, which, etag=request.etag, why=convert.why(request), origin=origin(request)
        )
        return model_to_proto(changed)

    async def ListAliasChanges(
        self, request: models_pb2.ListAliasChangesRequest, _context: Any
    ) -> models_pb2.ListAliasChangesResponse:
        """See the proto."""
        parent = ModelName.parse(request.parent, "parent")
        alias = check_segment(request.alias, "alias") if request.alias else ""
        page = await self._aliases.changes(parent, alias, request.page_size, request.page_token)
        return models_pb2.ListAliasChangesResponse(
            alias_changes=[convert.alias_change_to_proto(parent, change) for change in page.items],
            next_page_token=page.next_page_token,
        )

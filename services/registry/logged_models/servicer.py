"""LoggedModelService: convert, call, convert."""

from typing import Any

from chassis.clock import Clock
from headwater.names import LoggedModelName, ProjectName
from headwater.registry.v1 import logged_models_pb2, logged_models_pb2_grpc
from services.registry.convert import InvalidField, origin
from services.registry.logged_models import convert
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.logged_models.model import LoggedModelState


class LoggedModelServicer(logged_models_pb2_grpc.LoggedModelServiceServicer):
    """See protos/headwater/registry/v1/logged_models.proto."""

    def __init__(self, logged_models: LoggedModels, clock: Clock) -> None:
        self._logged_models = logged_models
        self._clock = clock

    async def CreateLoggedModel(
        self, request: logged_models_pb2.CreateLoggedModelRequest, _context: Any
    ) -> logged_models_pb2.LoggedModel:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        new = convert.new_logged_model(request.logged_model, parent.project)
        return convert.to_proto(await self._logged_models.create(parent, new, origin(request, request.request_id)))

    async def GetLoggedModel(
        self, request: logged_models_pb2.GetLoggedModelRequest, _context: Any
    ) -> logged_models_pb2.LoggedModel:
        """See the proto."""
        return convert.to_proto(await self._logged_models.get(LoggedModelName.parse(request.name)))

    async def ListLoggedModels(
        self, request: logged_models_pb2.ListLoggedModelsRequest, _context: Any
    ) -> logged_models_pb2.ListLoggedModelsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        wanted = convert.wanted(request)
        page = await self._logged_models.page(parent, wanted, request.page_size, request.page_token)
        return logged_models_pb2.ListLoggedModelsResponse(
            logged_models=map(convert.to_proto, page.items), next_page_token=page.next_page_token
        )

    async def FinishLoggedModel(
        self, request: logged_models_pb2.FinishLoggedModelRequest, _context: Any
    ) -> logged_models_pb2.LoggedModel:
        """See the proto."""
        state = LoggedModelState(request.state)
        if request.state_message and state is LoggedModelState.READY:
            raise InvalidField("A logged model that is ready has no message.", field="state_message")
        name = LoggedModelName.parse(request.name)
        finished = await self._logged_models.finish(name, state, request.state_message, origin(request))
        return convert.to_proto(finished)

    async def LogToLoggedModel(
        self, request: logged_models_pb2.LogToLoggedModelRequest, _context: Any
    ) -> logged_models_pb2.LoggedModel:
        """See the proto."""
        additions = convert.additions(request, self._clock.now())
        name = LoggedModelName.parse(request.name)
        return convert.to_proto(await self._logged_models.add(name, additions, origin(request)))

    async def ArchiveLoggedModel(
        self, request: logged_models_pb2.ArchiveLoggedModelRequest, _context: Any
    ) -> logged_models_pb2.LoggedModel:
        """See the proto."""
        name = LoggedModelName.parse(request.name)
        return convert.to_proto(await self._logged_models.archive(name, origin(request)))

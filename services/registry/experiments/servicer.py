"""ExperimentService: convert, call, convert."""

from typing import Any

from headwater.names import ExperimentName, ProjectName
from headwater.registry.v1 import experiments_pb2, experiments_pb2_grpc
from services.registry.convert import origin
from services.registry.experiments import convert
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.lifecycle import Lifecycle


class ExperimentServicer(experiments_pb2_grpc.ExperimentServiceServicer):
    """See protos/headwater/registry/v1/experiments.proto."""

    def __init__(self, experiments: Experiments, lifecycle: Lifecycle) -> None:
        self._experiments = experiments
        self._lifecycle = lifecycle

    async def CreateExperiment(
        self, request: experiments_pb2.CreateExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        name = ExperimentName(project, convert.experiment_id(request.experiment_id))
        made = await self._experiments.create(
            name, convert.about(request.experiment), origin(request, request.request_id)
        )
        return convert.to_proto(made)

    async def GetExperiment(
        self, request: experiments_pb2.GetExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        return convert.to_proto(await self._experiments.get(ExperimentName.parse(request.name)))

    async def ListExperiments(
        self, request: experiments_pb2.ListExperimentsRequest, _context: Any
    ) -> experiments_pb2.ListExperimentsResponse:
        """See the proto."""
        page = await self._experiments.page(
            ProjectName.parse(request.parent, "parent"),
            request.page_size,
            request.page_token,
            wanted=request.filter,
            by=request.order_by,
            show_inactive=request.show_inactive,
        )
        return experiments_pb2.ListExperimentsResponse(
            experiments=[convert.to_proto(each) for each in page.items], next_page_token=page.next_page_token
        )

    async def UpdateExperiment(
        self, request: experiments_pb2.UpdateExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        name = ExperimentName.parse(request.experiment.name, "experiment.name")
        changes = convert.changes(request)
        return convert.to_proto(
            await self._experiments.describe(name, changes, request.experiment.etag, origin(request))
        )

    async def RenameExperiment(
        self, request: experiments_pb2.RenameExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        name, segment = ExperimentName.parse(request.name), convert.experiment_id(request.experiment_id)
        return convert.to_proto(await self._lifecycle.rename(name, segment, request.etag, origin(request)))

    async def DeprecateExperiment(
        self, request: experiments_pb2.DeprecateExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        name = ExperimentName.parse(request.name)
        replacement = convert.replacement(request.replacement, name)
        return convert.to_proto(await self._lifecycle.deprecate(name, replacement, request.etag, origin(request)))

    async def ArchiveExperiment(
        self, request: experiments_pb2.ArchiveExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        name = ExperimentName.parse(request.name)
        return convert.to_proto(await self._lifecycle.archive(name, request.etag, origin(request)))

    async def ReactivateExperiment(
        self, request: experiments_pb2.ReactivateExperimentRequest, _context: Any
    ) -> experiments_pb2.Experiment:
        """See the proto."""
        name = ExperimentName.parse(request.name)
        return convert.to_proto(await self._lifecycle.reactivate(name, request.etag, origin(request)))

"""RunService: convert, call, convert."""

from typing import Any

from chassis.clock import Clock
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ProjectName, RunName
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from services.registry.convert import InvalidField, origin, values_from_proto
from services.registry.run_artifacts.run_artifacts import RunArtifacts
from services.registry.run_artifacts.servicer import RunArtifactMethods
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.run_links.servicer import RunLinkMethods
from services.registry.runs import convert
from services.registry.runs.model import RunState
from services.registry.runs.runs import Runs


class RunServicer(RunArtifactMethods, RunLinkMethods, runs_pb2_grpc.RunServiceServicer):
    """See protos/headwater/registry/v1/runs.proto."""

    def __init__(self, runs: Runs, run_artifacts: RunArtifacts, run_links: LinksOfRuns, clock: Clock) -> None:
        self._runs = runs
        self._run_artifacts = run_artifacts
        self._run_links = run_links
        self._clock = clock

    async def CreateRun(self, request: runs_pb2.CreateRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        run = await self._runs.create(parent, convert.new_run(request.run), origin(request, request.request_id))
        return convert.to_proto(run)

    async def GetRun(self, request: runs_pb2.GetRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        return convert.to_proto(await self._runs.get(RunName.parse(request.name)))

    async def ListRuns(self, request: runs_pb2.ListRunsRequest, _context: Any) -> runs_pb2.ListRunsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        page = await self._runs.page(parent, request.page_size, request.page_token)
        return runs_pb2.ListRunsResponse(
            runs=[convert.to_proto(run) for run in page.items], next_page_token=page.next_page_token
        )

    async def FinishRun(self, request: runs_pb2.FinishRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        state = RunState(request.state)
        if request.failure and state is RunState.SUCCEEDED:
            raise InvalidField("A run that succeeded has no failure.", field="failure")
        name = RunName.parse(request.name)
        return convert.to_proto(await self._runs.finish(name, state, request.failure, origin(request)))

    async def LogMetrics(self, request: runs_pb2.LogMetricsRequest, _context: Any) -> runs_pb2.LogMetricsResponse:
        """See the proto."""
        recorded = await self._runs.log(
            RunName.parse(request.name),
            convert.batch(request, self._clock.now()),
            values_from_proto(request.parameters, "parameters"),
            origin(request),
        )
        return runs_pb2.LogMetricsResponse(recorded_count=recorded)

    async def ListMetricPoints(
        self, request: runs_pb2.ListMetricPointsRequest, _context: Any
    ) -> runs_pb2.ListMetricPointsResponse:
        """See the proto."""
        name = RunName.parse(request.name)
        page = await self._runs.points(name, request.key, request.page_size, request.page_token)
        response = convert.points_to_proto(page.items)
        response.next_page_token = page.next_page_token
        return response

"""RunService: convert, call, convert. What is about metrics, artifacts, inputs and outputs is beside those."""

from typing import Any

from chassis.clock import Clock
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ProjectName, RunName
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from services.registry.convert import MAX_TAG, InvalidField, origin, pairs, time, values_from_proto
from services.registry.metrics.convert import batch
from services.registry.metrics.history import MetricHistory
from services.registry.metrics.servicer import MetricMethods
from services.registry.run_artifacts.run_artifacts import RunArtifacts
from services.registry.run_artifacts.servicer import RunArtifactMethods
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.run_links.servicer import RunLinkMethods
from services.registry.runs import convert
from services.registry.runs.changes import RunChanges
from services.registry.runs.model import RunState
from services.registry.runs.runs import Runs


class RunServicer(MetricMethods, RunArtifactMethods, RunLinkMethods, runs_pb2_grpc.RunServiceServicer):
    """See protos/headwater/registry/v1/runs.proto."""

    def __init__(
        self,
        runs: Runs,
        changes: RunChanges,
        history: MetricHistory,
        run_artifacts: RunArtifacts,
        run_links: LinksOfRuns,
        clock: Clock,
    ) -> None:
        self._runs = runs
        self._changes = changes
        self._history = history
        self._run_artifacts = run_artifacts
        self._run_links = run_links
        self._clock = clock

    async def CreateRun(self, request: runs_pb2.CreateRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        new = convert.new_run(request.run, parent)
        return convert.to_proto(await self._runs.create(parent, new, origin(request, request.request_id)))

    async def GetRun(self, request: runs_pb2.GetRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        return convert.to_proto(await self._runs.get(RunName.parse(request.name)))

    async def UpdateRun(self, request: runs_pb2.UpdateRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        name = RunName.parse(request.run.name, "run.name")
        changes = convert.changes(request, name)
        return convert.to_proto(await self._changes.describe(name, changes, request.run.etag, origin(request)))

    async def SetRunTags(self, request: runs_pb2.SetRunTagsRequest, _context: Any) -> runs_pb2.SetRunTagsResponse:
        """See the proto."""
        name, tags = RunName.parse(request.name), convert.new_tags(request)
        there = await self._changes.tag(name, tags, set(request.removed_keys), origin(request))
        return runs_pb2.SetRunTagsResponse(tags=there)

    async def ResumeRun(self, request: runs_pb2.ResumeRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        return convert.to_proto(await self._changes.resume(RunName.parse(request.name), origin(request)))

    async def ArchiveRun(self, request: runs_pb2.ArchiveRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        return convert.to_proto(await self._changes.archive(RunName.parse(request.name), origin(request)))

    async def ReactivateRun(self, request: runs_pb2.ReactivateRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        return convert.to_proto(await self._changes.reactivate(RunName.parse(request.name), origin(request)))

    async def ListRuns(self, request: runs_pb2.ListRunsRequest, _context: Any) -> runs_pb2.ListRunsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        page = await self._runs.page(parent, convert.wanted(request, parent), request.page_size, request.page_token)
        return runs_pb2.ListRunsResponse(
            runs=[convert.to_proto(run) for run in page.items], next_page_token=page.next_page_token
        )

    async def FinishRun(self, request: runs_pb2.FinishRunRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        state = RunState(request.state)
        if request.failure and state is RunState.SUCCEEDED:
            raise InvalidField("A run that succeeded has no failure.", field="failure")
        name = RunName.parse(request.name)
        end_time = time(request.end_time, "end_time") if request.HasField("end_time") else None
        return convert.to_proto(await self._runs.finish(name, state, request.failure, origin(request), time=end_time))

    async def LogMetrics(self, request: runs_pb2.LogMetricsRequest, _context: Any) -> runs_pb2.LogMetricsResponse:
        """See the proto."""
        recorded = await self._runs.log(
            RunName.parse(request.name),
            batch(request, self._clock.now()),
            values_from_proto(request.parameters, "parameters"),
            origin(request),
            tags=pairs(request.tags, "tags", MAX_TAG),
        )
        return runs_pb2.LogMetricsResponse(recorded_count=recorded)

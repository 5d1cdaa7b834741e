"""RunService's methods about what runs made: convert, call, convert."""

from typing import Any

from headwater.names import RunArtifactName, RunName
from headwater.registry.v1 import runs_pb2
from services.registry.convert import origin
from services.registry.run_artifacts import convert
from services.registry.run_artifacts.run_artifacts import RunArtifacts


class RunArtifactMethods:
    """Part of RunServicer; see protos/headwater/registry/v1/runs.proto."""

    _run_artifacts: RunArtifacts

    async def CreateRunArtifact(
        self, request: runs_pb2.CreateRunArtifactRequest, _context: Any
    ) -> runs_pb2.RunArtifact:
        """See the proto."""
        run = RunName.parse(request.parent, "parent")
        new = convert.new_run_artifact(request.run_artifact, run)
        return convert.to_proto(await self._run_artifacts.create(run, new, origin(request)))

    async def GetRunArtifact(self, request: runs_pb2.GetRunArtifactRequest, _context: Any) -> runs_pb2.RunArtifact:
        """See the proto."""
        return convert.to_proto(await self._run_artifacts.get(RunArtifactName.parse(request.name)))

    async def ListRunArtifacts(
        self, request: runs_pb2.ListRunArtifactsRequest, _context: Any
    ) -> runs_pb2.ListRunArtifactsResponse:
        """See the proto."""
        listing = await self._run_artifacts.page(
            RunName.parse(request.parent, "parent"),
            request.path,
            request.page_size,
            request.page_token,
            direct=request.direct,
        )
        return runs_pb2.ListRunArtifactsResponse(
            run_artifacts=map(convert.to_proto, listing.items),
            folders=listing.folders,
            next_page_token=listing.next_page_token,
        )

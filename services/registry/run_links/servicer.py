"""RunService's methods about what runs read and made: convert, call, convert."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import RunName
from headwater.registry.v1 import runs_pb2
from services.registry.convert import origin
from services.registry.run_links import convert
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.runs import convert as run_convert


class RunLinkMethods:
    """Part of RunServicer; see protos/headwater/registry/v1/runs.proto."""

    _run_links: LinksOfRuns

    async def LogRunInputs(self, request: runs_pb2.LogRunInputsRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        name = RunName.parse(request.name)
        run, links = await self._run_links.log(
            name,
            data_inputs=convert.data_inputs(request.data_inputs, name),
            model_inputs=convert.model_links(request.model_inputs, name, "model_inputs"),
            origin=origin(request),
        )
        message = run_convert.to_proto(run)
        convert.fill(message, links)
        return message

    async def LogRunOutputs(self, request: runs_pb2.LogRunOutputsRequest, _context: Any) -> artifact_pb2.Run:
        """See the proto."""
        name = RunName.parse(request.name)
        outputs = convert.model_links(request.model_outputs, name, "model_outputs")
        run, links = await self._run_links.log(name, model_outputs=outputs, origin=origin(request))
        message = run_convert.to_proto(run)
        convert.fill(message, links)
        return message

"""RunService's methods about what runs measure: convert, call, convert."""

from typing import Any

from headwater.names import ProjectName, RunName
from headwater.registry.v1 import runs_pb2
from services.registry.convert import InvalidField
from services.registry.metrics import convert
from services.registry.metrics.history import MetricHistory


class MetricMethods:
    """Part of RunServicer; see protos/headwater/registry/v1/runs.proto."""

    _history: MetricHistory

    async def ListMetricPoints(
        self, request: runs_pb2.ListMetricPointsRequest, _context: Any
    ) -> runs_pb2.ListMetricPointsResponse:
        """See the proto."""
        name = RunName.parse(request.name)
        page = await self._history.points(name, request.key, request.page_size, request.page_token)
        response = convert.points_to_proto(page.items)
        response.next_page_token = page.next_page_token
        return response

    async def SampleMetricPoints(
        self, request: runs_pb2.SampleMetricPointsRequest, _context: Any
    ) -> runs_pb2.SampleMetricPointsResponse:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        names = [RunName.parse(name, "runs") for name in request.runs]
        if any(name.project != project for name in names):
            raise InvalidField("The runs must be those of the parent.", field="runs")
        found = await self._history.sample(names, request.keys, convert.span(request))
        return runs_pb2.SampleMetricPointsResponse(
            series=[convert.series_to_proto(name, points) for name, points in found]
        )

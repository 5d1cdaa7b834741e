"""LineageService: convert, call, convert."""

from typing import Any

from headwater.names import ProjectName
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc
from services.registry.convert import origin
from services.registry.lineage import convert
from services.registry.lineage.lineage import Form, Lineages
from services.registry.lineage.openlineage.importing import OpenLineage


class LineageServicer(lineage_pb2_grpc.LineageServiceServicer):
    """See protos/headwater/registry/v1/lineage.proto."""

    def __init__(self, lineages: Lineages, openlineage: OpenLineage) -> None:
        self._lineages = lineages
        self._openlineage = openlineage

    async def CreateConnections(
        self, request: lineage_pb2.CreateConnectionsRequest, _context: Any
    ) -> lineage_pb2.CreateConnectionsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        created = await self._lineages.connect(parent, convert.connections(request), origin(request))
        return lineage_pb2.CreateConnectionsResponse(created_count=created)

    async def GetLineage(self, request: lineage_pb2.GetLineageRequest, _context: Any) -> lineage_pb2.Lineage:
        """See the proto."""
        return convert.to_proto(await self._lineages.get(*convert.start(request), **convert.size(request)))

    async def GetImpact(self, request: lineage_pb2.GetImpactRequest, _context: Any) -> lineage_pb2.Impact:
        """See the proto."""
        return convert.impact_to_proto(await self._lineages.impact(request.name))

    async def ListModelVersionUses(
        self, request: lineage_pb2.ListModelVersionUsesRequest, _context: Any
    ) -> lineage_pb2.ListModelVersionUsesResponse:
        """See the proto."""
        page = await self._lineages.uses(request.name, request.page_size, request.page_token)
        return lineage_pb2.ListModelVersionUsesResponse(
            uses=map(convert.use_to_proto, page.items), next_page_token=page.next_page_token
        )

    async def ImportOpenLineage(
        self, request: lineage_pb2.ImportOpenLineageRequest, _context: Any
    ) -> lineage_pb2.ImportOpenLineageResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        imported = await self._openlineage.take_in(parent, request.events_json, origin(request))
        return lineage_pb2.ImportOpenLineageResponse(created_count=imported.created, runs=map(str, imported.runs))

    async def ExportLineage(
        self, request: lineage_pb2.ExportLineageRequest, _context: Any
    ) -> lineage_pb2.ExportLineageResponse:
        """See the proto."""
        part = request.lineage
        document = await self._lineages.export(Form(request.format), *convert.start(part), **convert.size(part))
        return lineage_pb2.ExportLineageResponse(
            document=document.text, media_type=document.media_type, truncated=document.truncated
        )

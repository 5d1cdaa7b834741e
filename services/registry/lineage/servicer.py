"""LineageService: convert, call, convert."""

from typing import Any

from headwater.names import ProjectName
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc
from services.registry.convert import origin
from services.registry.lineage import convert
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import NodeKind


class LineageServicer(lineage_pb2_grpc.LineageServiceServicer):
    """See protos/headwater/registry/v1/lineage.proto."""

    def __init__(self, lineages: Lineages) -> None:
        self._lineages = lineages

    async def CreateConnections(
        self, request: lineage_pb2.CreateConnectionsRequest, _context: Any
    ) -> lineage_pb2.CreateConnectionsResponse:
        """See the proto."""
        parent = ProjectName.parse(request.parent, "parent")
        created = await self._lineages.connect(parent, convert.connections(request), origin(request))
        return lineage_pb2.CreateConnectionsResponse(created_count=created)

    async def GetLineage(self, request: lineage_pb2.GetLineageRequest, _context: Any) -> lineage_pb2.Lineage:
        """See the proto."""
        direction = convert.direction(request.direction)
        kinds = frozenset(map(NodeKind, request.kinds))
        lineage = await self._lineages.get(
            request.name, direction, request.max_depth, kinds=kinds, max_nodes=request.max_nodes
        )
        return convert.to_proto(lineage)

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

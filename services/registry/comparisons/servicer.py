"""The part of ModelService that compares: convert, call, convert."""

from typing import Any

from headwater.registry.v1 import model_versions_pb2, models_pb2_grpc
from services.registry.comparisons.comparing import Comparing
from services.registry.comparisons.model import Row
from services.registry.versions import convert


class ComparisonServicer(models_pb2_grpc.ModelServiceServicer):
    """See protos/headwater/registry/v1/models.proto."""

    def __init__(self, comparing: Comparing) -> None:
        self._comparing = comparing

    async def CompareModelVersions(
        self, request: model_versions_pb2.CompareModelVersionsRequest, _context: Any
    ) -> model_versions_pb2.CompareModelVersionsResponse:
        """See the proto."""
        names = [convert.version_name(name, f"names[{place}]") for place, name in enumerate(request.names)]
        found = await self._comparing.compare(names)
        return model_versions_pb2.CompareModelVersionsResponse(
            model_versions=[convert.version_to_proto(version) for version in found.versions],
            comparisons=[_row_to_proto(row) for row in found.rows],
            breaking_changes=found.breaking_changes,
        )


def _row_to_proto(row: Row) -> model_versions_pb2.ModelVersionComparison:
    return model_versions_pb2.ModelVersionComparison(
        section=model_versions_pb2.ModelVersionComparison.Section.ValueType(row.section),
        key=row.key,
        values=row.values,
        differences=row.differences,
        differs=row.differs,
    )

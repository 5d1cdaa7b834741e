"""How versions of models differ."""

from collections.abc import Sequence

from headwater import model_pointers
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT
from headwater.registry.v1 import model_versions_pb2, models_pb2_grpc


def compare(
    connection: Connection, references: Sequence[str], *, project: str = DEFAULT_PROJECT
) -> model_versions_pb2.CompareModelVersionsResponse:
    """How versions differ from the first of them: ``digits@production``, ``digits@7``; of one model or of several."""
    names = [model_pointers.version_name(connection, reference, project=project) for reference in references]
    stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
    return stub.CompareModelVersions(model_versions_pb2.CompareModelVersionsRequest(names=names))

"""What the lineage service refuses, over gRPC."""

from typing import Any

import pytest

from headwater.artifact.v1 import artifact_pb2
from headwater.errors import FailedPrecondition, HeadwaterError, InvalidArgument
from headwater.registry.v1 import lineage_pb2
from tests.integration.registry.client import DEFAULT, Client

DIGEST = f"sha256:{'a' * 64}"
DATASET = f"{DEFAULT}/datasets/digits/versions/v1.0.0"
PIPELINE = f"{DEFAULT}/pipelines/prep/versions/1"
INPUT = artifact_pb2.ArtifactConnection.ROLE_INPUT


def _data(**fields: Any) -> artifact_pb2.ArtifactMetadata:
    values = {"name": DATASET, "digest": DIGEST, **fields}
    return artifact_pb2.ArtifactMetadata(data_metadata=artifact_pb2.DataMetadata(**values))


def _pipeline(**fields: Any) -> artifact_pb2.ArtifactMetadata:
    values = {"name": PIPELINE, "digest": DIGEST, **fields}
    return artifact_pb2.ArtifactMetadata(executable_metadata=artifact_pb2.ExecutableMetadata(**values))


def _edge(**fields: Any) -> artifact_pb2.ArtifactConnection:
    values = {"first_name": DATASET, "second_name": PIPELINE, "role": INPUT, **fields}
    return artifact_pb2.ArtifactConnection(**values)


def _request(*artifacts: artifact_pb2.ArtifactMetadata, edges: Any = ()) -> lineage_pb2.CreateConnectionsRequest:
    return lineage_pb2.CreateConnectionsRequest(parent=DEFAULT, artifacts=artifacts, connections=edges)


async def test_a_node_comes_back_with_everything_that_was_said_of_it(client: Client) -> None:
    data = _data(
        id=artifact_pb2.UUID(value="01900000-0000-7000-8000-000000000001", type=artifact_pb2.UUID.TYPE_DATA_METADATA),
        description="scanned digits",
        source="scikit-learn",
        query="SELECT",
        version="v1.0.0",
        annotations={"license": "BSD"},
        row_count=1797,
    )
    data.data_metadata.ingest_time.FromJsonString("2026-01-01T00:00:00Z")
    data.data_metadata.timerange.start.FromJsonString("1998-07-01T00:00:00Z")
    await client.lineage.CreateConnections(_request(data, _pipeline(tags=["a"]), edges=[_edge()]))
    graph = await client.lineage.GetLineage(
        lineage_pb2.GetLineageRequest(name=DATASET, direction=lineage_pb2.GetLineageRequest.DIRECTION_DOWNSTREAM)
    )
    assert graph.artifacts[0] == data
    assert list(graph.artifacts[1].executable_metadata.tags) == ["a"]


async def test_what_cannot_be_in_the_graph_is_refused(client: Client) -> None:
    for request in (
        _request(artifact_pb2.ArtifactMetadata()),
        _request(artifact_pb2.ArtifactMetadata(run=artifact_pb2.Run(name=f"{DEFAULT}/runs/x"))),
        _request(_data(digest="")),
        _request(_data(digest="sha256:abc")),
        _request(_data(name=PIPELINE)),
        _request(_pipeline(name=f"{DEFAULT}/models/digits/versions/1")),
        _request(_data(name=f"{DEFAULT}/datasets/../versions/v1.0.0")),
        _request(_data(description="x" * 100_000)),
        _request(_data(id=artifact_pb2.UUID(value="1"))),
        _request(_data(), _pipeline(), edges=[_edge(role=0)]),
        _request(_data(), edges=[_edge(second_name=DATASET)]),
        _request(_data(), _pipeline(), edges=[_edge(run_name=PIPELINE)]),
        _request(_data(), _pipeline(), edges=[_edge(id=artifact_pb2.UUID(value="x"))]),
        _request(_data(), _pipeline(), edges=[_edge(first_name="digits")]),
    ):
        with pytest.raises(InvalidArgument):
            await client.lineage.CreateConnections(request)
        with pytest.raises(HeadwaterError) as missing:
            await client.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=DATASET))
        assert missing.value.reason == "LINEAGE_NODE_NOT_FOUND"


async def test_a_name_stands_for_one_digest(client: Client) -> None:
    other = f"sha256:{'b' * 64}"
    code = (await client.upload(b"train.py")).name
    await client.lineage.CreateConnections(_request(_data()))
    for request in (
        _request(_data(digest=other)),
        _request(_pipeline(), _pipeline(digest=other)),
        _request(_pipeline(name=code, digest=other)),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            await client.lineage.CreateConnections(request)
        assert refused.value.reason == "ARTIFACT_DIGEST_CONFLICT"

"""What the lineage service refuses, over gRPC."""

import json
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


def _event(run: str, **fields: Any) -> str:
    event = {
        "eventType": "COMPLETE",
        "eventTime": "2026-01-31T12:00:00Z",
        "run": {"runId": run},
        "job": {"namespace": "airflow", "name": "daily"},
        "outputs": [{"namespace": "headwater://default", "name": "datasets/digits/versions/v1.0.0"}],
        "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    return json.dumps({**event, **fields})


async def test_others_events_come_in_and_ours_go_out(client: Client) -> None:
    """R-24, R-25: OpenLineage and PROV-JSON over gRPC, and what depends on what was told."""
    run = "01900000-0000-7000-8000-0000000000aa"
    await client.lineage.CreateConnections(_request(_data()))
    request = lineage_pb2.ImportOpenLineageRequest(parent=DEFAULT, events_json=[_event(run)])
    imported = await client.lineage.ImportOpenLineage(request)
    assert (imported.created_count, list(imported.runs)) == (2, [f"{DEFAULT}/runs/{run}"])
    assert (await client.lineage.ImportOpenLineage(request)).created_count == 0
    impact = await client.lineage.GetImpact(lineage_pb2.GetImpactRequest(name=f"{DEFAULT}/runs/{run}"))
    assert impact.summary == "1 dataset version depends on it"
    assert [(each.kind, each.count) for each in impact.dependents] == [(lineage_pb2.LINEAGE_NODE_KIND_DATA, 1)]

    formats = lineage_pb2.ExportLineageRequest
    for form, media_type, word in (
        (formats.FORMAT_OPENLINEAGE, "application/x-ndjson", '"eventType":"COMPLETE"'),
        (formats.FORMAT_PROV_JSON, "application/json", '"wasGeneratedBy"'),
    ):
        asked = formats(lineage=lineage_pb2.GetLineageRequest(name=DATASET), format=form)
        exported = await client.lineage.ExportLineage(asked)
        assert (exported.media_type, exported.truncated) == (media_type, False)
        assert word in exported.document
    cut = formats(lineage=lineage_pb2.GetLineageRequest(name=DATASET, max_nodes=1), format=formats.FORMAT_PROV_JSON)
    assert (await client.lineage.ExportLineage(cut)).truncated


async def test_what_is_wrong_with_an_exchange_is_told(client: Client) -> None:
    run = "01900000-0000-7000-8000-0000000000ab"
    with pytest.raises(InvalidArgument, match=r"event 1, run\.runId must be a UUID") as refused:
        await client.lineage.ImportOpenLineage(
            lineage_pb2.ImportOpenLineageRequest(parent=DEFAULT, events_json=[_event(run), _event("x")])
        )
    assert refused.value.reason == "INVALID_OPENLINEAGE"
    with pytest.raises(HeadwaterError) as unknown:
        await client.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=f"{DEFAULT}/runs/{run}"))
    assert unknown.value.reason == "LINEAGE_NODE_NOT_FOUND", "nothing of the call is kept"
    for request in (
        lineage_pb2.ImportOpenLineageRequest(parent=DEFAULT),
        lineage_pb2.ImportOpenLineageRequest(parent="default", events_json=[_event(run)]),
        lineage_pb2.ImportOpenLineageRequest(parent=DEFAULT, events_json=["[" * 1_000_000]),
    ):
        with pytest.raises(InvalidArgument):
            await client.lineage.ImportOpenLineage(request)
    start = lineage_pb2.GetLineageRequest(name=DATASET)
    for export in (
        lineage_pb2.ExportLineageRequest(lineage=start),
        lineage_pb2.ExportLineageRequest(format=lineage_pb2.ExportLineageRequest.FORMAT_PROV_JSON),
    ):
        with pytest.raises(InvalidArgument):
            await client.lineage.ExportLineage(export)
    with pytest.raises(InvalidArgument):
        await client.lineage.GetLineage(
            lineage_pb2.GetLineageRequest(name=DATASET, kinds=[lineage_pb2.LINEAGE_NODE_KIND_UNSPECIFIED])
        )


async def test_a_deployment_comes_back_with_everything_that_was_said_of_it(client: Client) -> None:
    version = await client.register(b"weights")
    deployment = artifact_pb2.DeploymentMetadata(
        id=artifact_pb2.UUID(value="01900000-0000-7000-8000-000000000003", type=artifact_pb2.UUID.TYPE_DEPLOYMENT),
        name=f"{DEFAULT}/deployments/digits",
        description="the shop",
        model=f"{DEFAULT}/models/digits",
        alias="champion",
        revision=3,
        annotations={"team": "vision"},
    )
    deployment.create_time.FromJsonString("2026-01-01T00:00:00Z")
    node = artifact_pb2.ArtifactMetadata(deployment=deployment)
    edge = _edge(first_name=version.name, second_name=deployment.name)
    await client.lineage.CreateConnections(_request(node, edges=[edge]))
    graph = await client.lineage.GetLineage(
        lineage_pb2.GetLineageRequest(
            name=version.name,
            direction=lineage_pb2.GetLineageRequest.DIRECTION_DOWNSTREAM,
            kinds=[lineage_pb2.LINEAGE_NODE_KIND_DEPLOYMENT],
        )
    )
    assert list(graph.artifacts) == [node]
    for field in ("revision", "id", "name"):
        changed = artifact_pb2.DeploymentMetadata()
        changed.CopyFrom(deployment)
        changed.ClearField(field)
        with pytest.raises(InvalidArgument):
            await client.lineage.CreateConnections(_request(artifact_pb2.ArtifactMetadata(deployment=changed)))

"""Every change leaves one row in ``events``, in the transaction of the change (R-30)."""

import asyncpg
import pytest
from google.protobuf.struct_pb2 import Value

from headwater.artifact.v1 import artifact_pb2
from headwater.errors import HeadwaterError
from headwater.registry.v1 import lineage_pb2, models_pb2, projects_pb2, runs_pb2
from tests.integration.registry.client import DEFAULT, DIGITS, Client


async def _events(postgres_url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(postgres_url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM registry.events ORDER BY sequence")
        return rows
    finally:
        await connection.close()


async def test_every_change_is_told_once(client: Client, postgres_url: str) -> None:
    await client.projects.CreateProject(projects_pb2.CreateProjectRequest(project_id="vision"))
    run = await client.start_run()
    log = runs_pb2.LogMetricsRequest(
        name=run.name,
        points=[runs_pb2.MetricPoint(key="loss", value=0.1, time=run.start_time)],
        parameters={"lr": Value(number_value=0.1)},
    )
    version = await client.register(b"weights", run=run.name)
    stage = models_pb2.SetModelVersionStageRequest(name=version.name, stage=artifact_pb2.ModelMetadata.STAGE_STAGING)
    alias = models_pb2.SetModelAliasRequest(name=DIGITS, alias="champion", version="1")
    dataset = f"{DEFAULT}/datasets/digits/versions/v1.0.0"
    node = artifact_pb2.DataMetadata(name=dataset, digest=f"sha256:{'a' * 64}")
    connect = lineage_pb2.CreateConnectionsRequest(
        parent=DEFAULT,
        artifacts=[artifact_pb2.ArtifactMetadata(data_metadata=node)],
        connections=[
            artifact_pb2.ArtifactConnection(
                first_name=dataset, second_name=run.name, role=artifact_pb2.ArtifactConnection.ROLE_INPUT
            )
        ],
    )
    finish = runs_pb2.FinishRunRequest(name=run.name, state=artifact_pb2.Run.STATE_SUCCEEDED)
    await client.runs.LogMetrics(log)
    await client.runs.LogMetrics(log)
    for _ in range(2):  # the second time changes nothing, and tells nothing
        await client.models.SetModelVersionStage(stage)
        await client.models.SetModelAlias(alias)
        await client.lineage.CreateConnections(connect)
        await client.runs.FinishRun(finish)
        await client.upload(b"weights")

    events = await _events(postgres_url)
    assert [(event["kind"], event["object"]) for event in events] == [
        ("project.create", "projects/vision"),
        ("run.create", run.name),
        ("artifact.create", version.storage_location),
        ("model.create", DIGITS),
        ("version.create", version.name),
        ("run.log", run.name),
        ("version.stage", version.name),
        ("model.alias", DIGITS),
        ("lineage.connect", DEFAULT),
        ("run.finish", run.name),
    ]
    assert {event["actor"] for event in events} == {"tester"}
    assert all(event["after_digest"].startswith("sha256:") for event in events)
    changed = {event["kind"] for event in events if event["before_digest"]}
    assert changed == {"version.stage", "model.alias", "run.finish"}


async def test_what_was_refused_is_not_told(client: Client, postgres_url: str) -> None:
    run = await client.start_run()
    before = len(await _events(postgres_url))
    refused = (
        client.projects.CreateProject(projects_pb2.CreateProjectRequest(project_id="DEFAULT")),
        client.models.SetModelAlias(models_pb2.SetModelAliasRequest(name=DIGITS, alias="champion", version="1")),
        client.register(b"weights", path="../model.bin", run=run.name),
    )
    for call in refused:
        with pytest.raises(HeadwaterError):
            await call
    told = [event["kind"] for event in (await _events(postgres_url))[before:]]
    assert told == ["artifact.create"]  # the upload itself went well

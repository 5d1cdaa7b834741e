"""The main job's part in the registry, through real gRPC and PostgreSQL."""

from collections.abc import Callable

import pytest
from google.protobuf.struct_pb2 import Value

from chassis import Service
from chassis.auth import Role
from chassis.testing import StartService
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from headwater.registry.v1 import lineage_pb2, models_pb2, projects_pb2, runs_pb2
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.data.models.onnx_files import linear_model
from tests.data.models.safetensors_files import safetensors
from tests.integration.registry.client import DEFAULT, DIGITS, Client

Stage = artifact_pb2.ModelMetadata


def _metrics(run: artifact_pb2.Run, **values: float) -> runs_pb2.LogMetricsRequest:
    points = [runs_pb2.MetricPoint(key=key.replace("__", "/"), value=value) for key, value in values.items()]
    return runs_pb2.LogMetricsRequest(name=run.name, points=points)


async def test_a_model_goes_from_a_run_to_production(client: Client) -> None:
    """Steps 3 to 5 of the main job: data and run, metrics, a version with both files, an objective, promotion."""
    run = await client.start_run()
    dataset = f"{DEFAULT}/datasets/digits/versions/v1.1.0"
    node = artifact_pb2.DataMetadata(name=dataset, digest=f"sha256:{'a' * 64}", version="v1.1.0", row_count=1797)
    edge = artifact_pb2.ArtifactConnection(
        first_name=dataset, second_name=run.name, run_name=run.name, role=artifact_pb2.ArtifactConnection.ROLE_INPUT
    )
    await client.lineage.CreateConnections(
        lineage_pb2.CreateConnectionsRequest(
            parent=DEFAULT, artifacts=[artifact_pb2.ArtifactMetadata(data_metadata=node)], connections=[edge]
        )
    )
    await client.runs.LogMetrics(
        runs_pb2.LogMetricsRequest(
            name=run.name,
            points=[runs_pb2.MetricPoint(key="test/accuracy", value=0.97, step=10)],
            parameters={"lr": Value(number_value=0.1)},
        )
    )
    files = {"model.safetensors": safetensors(w=(4, 3)), "model.onnx": linear_model(4, 3)}
    references = [
        models_pb2.ModelFileReference(path=path, artifact=(await client.upload(content)).name)
        for path, content in files.items()
    ]
    version = await client.models.CreateModelVersion(
        models_pb2.CreateModelVersionRequest(
            parent=DIGITS,
            files=references,
            run=run.name,
            architecture="small-cnn",
            framework=artifact_pb2.Framework(name="pytorch", version="2.13.0"),
        )
    )
    assert version.name == f"{DIGITS}/versions/1"
    assert {file.path: file.format for file in version.files} == {
        "model.onnx": artifact_pb2.ModelFile.FORMAT_ONNX,
        "model.safetensors": artifact_pb2.ModelFile.FORMAT_SAFETENSORS,
    }
    assert version.parameter_count == 12
    assert [(each.name, each.datatype, list(each.shape)) for each in version.inputs] == [("x", "FP32", [-1, 4])]
    assert [(each.name, each.datatype, list(each.shape)) for each in version.outputs] == [("y", "FP32", [-1, 3])]
    assert version.storage_location == next(each.artifact for each in references if each.path == "model.onnx")
    assert (version.run_name, list(version.dataset_versions)) == (run.name, [dataset])
    assert version.hyperparameters["lr"].number_value == 0.1
    assert dict(version.metrics) == {"test/accuracy": 0.97}

    objective = models_pb2.Objective(
        stage=Stage.STAGE_PRODUCTION,
        metric="test/accuracy",
        comparison=models_pb2.Objective.COMPARISON_AT_LEAST,
        bound=0.95,
    )
    await client.models.CreateObjective(
        models_pb2.CreateObjectiveRequest(parent=DIGITS, objective_id="accurate", objective=objective)
    )
    promoted = await client.models.SetModelVersionStage(
        models_pb2.SetModelVersionStageRequest(
            name=version.name, stage=Stage.STAGE_PRODUCTION, etag=version.etag, comment="good"
        )
    )
    resolve = models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=Stage.STAGE_PRODUCTION)
    assert await client.models.ResolveModelVersion(resolve) == promoted
    assert dict((await client.models.GetModel(models_pb2.GetModelRequest(name=DIGITS))).stages) == {"production": "1"}

    graph = await client.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=version.name))
    kinds = [artifact.WhichOneof("metadata") for artifact in graph.artifacts]
    assert kinds == ["model_metadata", "run", "data_metadata"]
    assert graph.artifacts[0].model_metadata.digest == version.digest
    assert graph.artifacts[2].data_metadata.row_count == 1797
    assert [(edge.first_name, edge.second_name) for edge in graph.connections] == [
        (run.name, version.name),
        (dataset, run.name),
    ]
    assert graph.connections[0].first_artifact == run.id
    assert graph.connections[0].second_artifact == version.id


async def test_an_objective_that_is_not_met_is_named_in_the_error(client: Client) -> None:
    run = await client.start_run()
    await client.runs.LogMetrics(_metrics(run, test__accuracy=0.9))
    version = await client.register(b"weights", run=run.name)
    objective = models_pb2.Objective(
        stage=Stage.STAGE_PRODUCTION,
        metric="test/accuracy",
        comparison=models_pb2.Objective.COMPARISON_AT_LEAST,
        bound=0.95,
    )
    await client.models.CreateObjective(
        models_pb2.CreateObjectiveRequest(parent=DIGITS, objective_id="accurate", objective=objective)
    )
    with pytest.raises(FailedPrecondition) as refused:
        await client.models.SetModelVersionStage(
            models_pb2.SetModelVersionStageRequest(name=version.name, stage=Stage.STAGE_PRODUCTION)
        )
    assert refused.value.reason == "OBJECTIVE_NOT_MET"
    assert (
        refused.value.metadata.items()
        >= {
            "objective": "accurate",
            "metric": "test/accuracy",
            "comparison": "AT_LEAST",
            "bound": "0.95",
            "value": "0.9",
        }.items()
    )


async def test_who_trains_does_not_approve(registry: Service, client_of: Callable[..., Client]) -> None:
    version = await client_of(registry, Role.WRITER).register(b"weights")
    request = models_pb2.SetModelVersionStageRequest(name=version.name, stage=Stage.STAGE_STAGING)
    with pytest.raises(PermissionDenied):
        await client_of(registry, Role.WRITER).models.SetModelVersionStage(request)
    assert (await client_of(registry, Role.APPROVER).models.SetModelVersionStage(request)).stage == Stage.STAGE_STAGING
    with pytest.raises(PermissionDenied):
        await client_of(registry, Role.APPROVER).start_run()


async def test_a_stale_etag_is_aborted_with_a_reason(client: Client) -> None:
    version = await client.register(b"weights")
    request = models_pb2.SetModelVersionStageRequest(name=version.name, stage=Stage.STAGE_STAGING, etag=version.etag)
    await client.models.SetModelVersionStage(request)
    with pytest.raises(Aborted) as refused:
        await client.models.SetModelVersionStage(request)
    assert refused.value.reason == "ETAG_MISMATCH"


async def test_a_retry_after_a_restart_returns_the_first_result(
    start_service: StartService, client_of: Callable[..., Client]
) -> None:
    """Promise 4, for every create."""
    first = await start_service(build, Settings, redis_url="")
    client = client_of(first)
    artifact = await client.upload(b"weights")
    file = models_pb2.ModelFileReference(path="model.bin", artifact=artifact.name)
    objective = models_pb2.Objective(
        stage=Stage.STAGE_STAGING, metric="m", comparison=models_pb2.Objective.COMPARISON_AT_MOST
    )

    async def create_all(client: Client, salt: str = "") -> list[object]:
        return [
            await client.projects.CreateProject(
                projects_pb2.CreateProjectRequest(project_id=f"vision{salt}", request_id="r1")
            ),
            await client.runs.CreateRun(
                runs_pb2.CreateRunRequest(
                    parent=DEFAULT, run=artifact_pb2.Run(display_name=f"a{salt}"), request_id="r2"
                )
            ),
            await client.models.CreateModel(
                models_pb2.CreateModelRequest(parent=DEFAULT, model_id=f"digits{salt}", request_id="r3")
            ),
            await client.models.CreateModelVersion(
                models_pb2.CreateModelVersionRequest(parent=f"{DIGITS}{salt}", files=[file], request_id="r4")
            ),
            await client.models.CreateObjective(
                models_pb2.CreateObjectiveRequest(
                    parent=f"{DIGITS}{salt}", objective_id="small", objective=objective, request_id="r5"
                )
            ),
        ]

    made = await create_all(client)
    await first.stop()
    again = client_of(await start_service(build, Settings, redis_url=""))
    repeated = await create_all(again)
    made[2] = repeated[2]  # the model itself has changed since: it has a version
    assert repeated == made
    with pytest.raises(AlreadyExists) as refused:
        await create_all(again, salt="2")
    assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_metrics_are_kept_with_time_and_step(client: Client) -> None:
    run = await client.start_run()
    point = runs_pb2.MetricPoint(key="loss", value=0.5, step=3)
    point.time.FromJsonString("2026-01-01T00:00:00.123456789Z")
    request = runs_pb2.LogMetricsRequest(name=run.name, points=[point])
    assert (await client.runs.LogMetrics(request)).recorded_count == 1
    assert (await client.runs.LogMetrics(request)).recorded_count == 0
    listed = await client.runs.ListMetricPoints(runs_pb2.ListMetricPointsRequest(name=run.name, key="loss"))
    [stored] = listed.points
    assert (stored.value, stored.step) == (0.5, 3)
    assert stored.time.ToJsonString() == "2026-01-01T00:00:00.123456Z"  # kept to the microsecond


async def test_a_thousand_points_are_recorded_in_one_call(client: Client) -> None:
    run = await client.start_run()
    points = [runs_pb2.MetricPoint(key=f"m{number % 10}", value=number, step=number) for number in range(1000)]
    response = await client.runs.LogMetrics(runs_pb2.LogMetricsRequest(name=run.name, points=points))
    assert response.recorded_count == 1000
    latest = (await client.runs.GetRun(runs_pb2.GetRunRequest(name=run.name))).latest_metrics
    assert latest["m7"] == 997.0


async def test_a_finished_run_refuses_metrics_and_another_end(client: Client) -> None:
    """M-29."""
    run = await client.start_run()
    succeeded = runs_pb2.FinishRunRequest(name=run.name, state=artifact_pb2.Run.STATE_SUCCEEDED)
    ended = await client.runs.FinishRun(succeeded)
    assert await client.runs.FinishRun(succeeded) == ended
    for refused_call in (
        client.runs.LogMetrics(_metrics(run, loss=0.1)),
        client.runs.FinishRun(runs_pb2.FinishRunRequest(name=run.name, state=artifact_pb2.Run.STATE_FAILED)),
    ):
        with pytest.raises(FailedPrecondition) as refused:
            await refused_call
        assert refused.value.reason == "RUN_FINISHED"


async def test_what_cannot_be_set_is_refused_and_not_dropped(client: Client) -> None:
    for run in (
        artifact_pb2.Run(name="projects/default/runs/mine"),
        artifact_pb2.Run(state=artifact_pb2.Run.STATE_SUCCEEDED),
        artifact_pb2.Run(latest_metrics={"accuracy": 1.0}),
        artifact_pb2.Run(parameters={"lr": Value(number_value=float("nan"))}),
        artifact_pb2.Run(parameters={"lr": Value()}),
        artifact_pb2.Run(job="projects/default/models/digits"),
        artifact_pb2.Run(tags={"": "x"}),
        artifact_pb2.Run(display_name="x" * 256),
    ):
        with pytest.raises(InvalidArgument):
            await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT, run=run))
    listed = await client.runs.ListRuns(runs_pb2.ListRunsRequest(parent=DEFAULT))
    assert list(listed.runs) == []


async def test_a_stage_that_many_hold_resolves_to_none(client: Client) -> None:
    await client.register(b"weights")
    for stage in (Stage.STAGE_UNSPECIFIED, Stage.STAGE_DEVELOPMENT, Stage.STAGE_ARCHIVED):
        with pytest.raises(InvalidArgument):
            await client.models.ResolveModelVersion(models_pb2.ResolveModelVersionRequest(name=DIGITS, stage=stage))
    with pytest.raises(NotFound):
        await client.models.ResolveModelVersion(models_pb2.ResolveModelVersionRequest(name=DIGITS, alias="champion"))


async def test_the_versions_of_a_model_may_be_written_with_a_v(client: Client) -> None:
    """K-02: both forms are accepted, one is canonical."""
    version = await client.register(b"weights")
    found = await client.models.GetModelVersion(models_pb2.GetModelVersionRequest(name=f"{DIGITS}/versions/v1"))
    assert found == version
    for wrong in ("0", "v0", "1.0"):
        with pytest.raises(InvalidArgument):
            await client.models.GetModelVersion(models_pb2.GetModelVersionRequest(name=f"{DIGITS}/versions/{wrong}"))

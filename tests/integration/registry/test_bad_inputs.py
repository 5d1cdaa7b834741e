"""Bad input gets a clean error and loses nothing: names, page tokens, credentials and bodies, on every method."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing import TokenFor
from chassis.testing.bad_inputs import BAD_DIGESTS, BAD_NAMES, BAD_PAGE_TOKENS, GARBAGE_BODIES, bad_tokens, nested_body
from chassis.testing.edge import call_raw, clean_error
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import InvalidArgument
from headwater.registry.v1 import (
    artifacts_pb2,
    experiments_pb2,
    lineage_pb2,
    model_versions_pb2,
    models_pb2,
    projects_pb2,
    runs_pb2,
)
from tests.integration.registry.client import DEFAULT, DIGITS, Client

RUN = f"{DEFAULT}/runs/01900000-0000-7000-8000-000000000000"
_MODULES = (projects_pb2, experiments_pb2, runs_pb2, artifacts_pb2, models_pb2, lineage_pb2)
_PACKAGE = "headwater.registry.v1"
METHODS = [
    f"/{service.full_name}/{method.name}"
    for module in _MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


def _named(name: str) -> Iterator[tuple[str, Message]]:
    """Every place where a caller can write a name, with ``name`` in it."""
    yield "ProjectService/CreateProject", projects_pb2.CreateProjectRequest(project_id=name)
    yield "ProjectService/GetProject", projects_pb2.GetProjectRequest(name=f"{name}")
    yield "RunService/CreateRun", runs_pb2.CreateRunRequest(parent=f"{name}")
    yield "RunService/GetRun", runs_pb2.GetRunRequest(name=f"{DEFAULT}/runs/{name}")
    yield "RunService/UpdateRun", runs_pb2.UpdateRunRequest(run=artifact_pb2.Run(name=f"{DEFAULT}/runs/{name}"))
    yield "RunService/SetRunTags", runs_pb2.SetRunTagsRequest(name=f"{DEFAULT}/runs/{name}")
    yield "RunService/ArchiveRun", runs_pb2.ArchiveRunRequest(name=f"{DEFAULT}/runs/{name}")
    sampled = runs_pb2.SampleMetricPointsRequest(parent=DEFAULT, runs=[f"{DEFAULT}/runs/{name}"], keys=["loss"])
    yield "RunService/SampleMetricPoints", sampled
    experiment = f"{DEFAULT}/experiments/{name}"
    yield "RunService/ListRuns", runs_pb2.ListRunsRequest(parent=DEFAULT, experiments=[experiment])
    made = experiments_pb2.CreateExperimentRequest(parent=DEFAULT, experiment_id=name)
    yield "ExperimentService/CreateExperiment", made
    yield "ExperimentService/GetExperiment", experiments_pb2.GetExperimentRequest(name=experiment)
    yield "ExperimentService/ArchiveExperiment", experiments_pb2.ArchiveExperimentRequest(name=experiment)
    renamed = experiments_pb2.RenameExperimentRequest(name=f"{DEFAULT}/experiments/default", experiment_id=name)
    yield "ExperimentService/RenameExperiment", renamed
    yield "RunService/ListRuns", runs_pb2.ListRunsRequest(parent=f"{name}")
    yield "RunService/LogMetrics", runs_pb2.LogMetricsRequest(name=f"{DEFAULT}/runs/{name}")
    yield "ArtifactService/GetArtifact", artifacts_pb2.GetArtifactRequest(name=f"{DEFAULT}/artifacts/{name}")
    yield "ModelService/CreateModel", models_pb2.CreateModelRequest(parent=DEFAULT, model_id=name)
    yield "ModelService/GetModel", models_pb2.GetModelRequest(name=f"{DEFAULT}/models/{name}")
    yield "ModelService/GetModelVersion", models_pb2.GetModelVersionRequest(name=f"{DIGITS}/versions/{name}.")
    yield (
        "ModelService/UpdateModel",
        models_pb2.UpdateModelRequest(model=models_pb2.Model(name=f"{DEFAULT}/models/{name}")),
    )
    yield "ModelService/RenameModel", models_pb2.RenameModelRequest(name=DIGITS, model_id=name)
    replaced = models_pb2.DeprecateModelRequest(name=DIGITS, replacement=f"{DEFAULT}/models/{name}")
    yield "ModelService/DeprecateModel", replaced
    yield "ModelService/ArchiveModel", models_pb2.ArchiveModelRequest(name=f"{DEFAULT}/models/{name}")
    yield "ModelService/ReactivateModel", models_pb2.ReactivateModelRequest(name=f"{DEFAULT}/models/{name}")
    yield "ModelService/ResolveModelVersion", models_pb2.ResolveModelVersionRequest(name=DIGITS, alias=name)
    yield "ModelService/ListAliasChanges", models_pb2.ListAliasChangesRequest(parent=f"{DEFAULT}/models/{name}")
    compared = model_versions_pb2.CompareModelVersionsRequest(names=[f"{DIGITS}/versions/{name}."] * 2)
    yield "ModelService/CompareModelVersions", compared
    yield "ModelService/SetModelAlias", models_pb2.SetModelAliasRequest(name=DIGITS, alias=name)
    yield "ModelService/ListObjectives", models_pb2.ListObjectivesRequest(parent=f"{DEFAULT}/models/{name}")
    file = models_pb2.ModelFileReference(path=f"{name}/../x", artifact=f"{DEFAULT}/artifacts/{'0' * 64}")
    yield (
        "ModelService/CreateModelVersion",
        models_pb2.CreateModelVersionRequest(parent=DIGITS, files=[file]),
    )
    dataset = f"{DEFAULT}/datasets/{name}/versions/v1.0.0"
    yield "LineageService/GetLineage", lineage_pb2.GetLineageRequest(name=dataset)


async def test_a_bad_name_is_refused_wherever_it_is_written(registry: Service, token_for: TokenFor) -> None:
    """Promise 13."""
    token = token_for(Role.ADMIN)
    for kind, name in BAD_NAMES.items():
        for method, request in _named(name):
            error = await call_raw(registry.address, f"/{_PACKAGE}.{method}", request.SerializeToString(), token=token)
            assert clean_error(error).reason in {"INVALID_NAME", "INVALID_FIELDS"}, (method, kind)


async def test_what_is_no_digest_names_no_artifact(client: Client) -> None:
    for kind, digest in BAD_DIGESTS.items():
        if kind == "no algorithm":  # which is how an artifact is named
            continue
        for written in (digest, digest.removeprefix("sha256:")):
            with pytest.raises(InvalidArgument):
                await client.artifacts.GetArtifact(
                    artifacts_pb2.GetArtifactRequest(name=f"{DEFAULT}/artifacts/{written}")
                )


async def test_a_page_token_that_nobody_gave_is_refused(client: Client) -> None:
    await client.register(b"weights")
    run = await client.start_run()
    calls: tuple[tuple[Any, Any], ...] = (
        (client.projects.ListProjects, projects_pb2.ListProjectsRequest()),
        (client.runs.ListRuns, runs_pb2.ListRunsRequest(parent=DEFAULT)),
        (client.runs.ListMetricPoints, runs_pb2.ListMetricPointsRequest(name=run.name, key="loss")),
        (client.models.ListModels, models_pb2.ListModelsRequest(parent=DEFAULT)),
        (client.models.ListModelVersions, models_pb2.ListModelVersionsRequest(parent=DIGITS)),
        (client.models.ListStageTransitions, models_pb2.ListStageTransitionsRequest(parent=DIGITS)),
        (client.models.ListObjectives, models_pb2.ListObjectivesRequest(parent=DIGITS)),
    )
    for method, request in calls:
        for token in BAD_PAGE_TOKENS.values():
            request.page_token = token
            with pytest.raises(InvalidArgument):
                await method(request)


async def test_nobody_without_good_credentials_is_let_in(registry: Service, authenticator: Authenticator) -> None:
    """Promise 14, on every method."""
    tokens = bad_tokens(authenticator)
    for method in METHODS:
        for kind, token in tokens.items():
            error = await call_raw(registry.address, method, token=token)
            assert error is not None, (method, kind)
            if kind != "20 KiB":  # which gRPC itself turns away
                assert clean_error(error).reason == "UNAUTHENTICATED", (method, kind)


async def test_a_reader_changes_nothing(registry: Service, token_for: TokenFor) -> None:
    token = token_for(Role.READER)
    reading = ("Get", "List", "Resolve", "Download", "Compare", "Read", "Sample", "Export")
    for method in METHODS:
        if method.rpartition("/")[2].startswith(reading):
            continue
        error = await call_raw(registry.address, method, token=token)
        assert clean_error(error).reason == "PERMISSION_DENIED", method


async def test_garbage_is_refused_and_what_was_stored_stays(
    client: Client, registry: Service, token_for: TokenFor
) -> None:
    canary = await client.register(b"canary")
    token = token_for(Role.ADMIN)
    for kind, body in {**GARBAGE_BODIES, "nested": nested_body()}.items():
        for method in METHODS:
            error = await call_raw(registry.address, method, body, token=token)
            if error is None:  # field 1 of this one is a number: a text there is a field that nobody knows
                assert method.endswith("/ListProjects"), (method, kind)
                continue
            assert clean_error(error).reason not in {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}, (method, kind)
    assert await client.download(canary.storage_location) == b"canary"
    listed = await client.models.ListModelVersions(models_pb2.ListModelVersionsRequest(parent=DIGITS))
    assert list(listed.model_versions) == [canary]


async def test_a_version_that_cannot_be_is_refused(client: Client) -> None:
    there = (await client.upload(b"weights")).name

    def version(run: str = "", **files: str) -> models_pb2.CreateModelVersionRequest:
        references = [models_pb2.ModelFileReference(path=path, artifact=name) for path, name in files.items()]
        return models_pb2.CreateModelVersionRequest(parent=DIGITS, files=references, run=run)

    for request in (
        version(),
        version(a=there.replace("default", "other")),
        version(a=there, run=RUN.replace("default", "other")),
        version(**{"../a": there}),
        version(**{"/a": there}),
        version(**{".a": there}),
        version(a=there, A=there),
        version(a=there, **{"a/b": there}),
    ):
        with pytest.raises(InvalidArgument):
            await client.models.CreateModelVersion(request)

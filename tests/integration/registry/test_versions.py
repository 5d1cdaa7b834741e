"""Versions of models as callers see them: what is said of them, how they are named, what becomes of them."""

import json
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from headwater.artifact.v1 import artifact_pb2
from headwater.errors import Aborted, FailedPrecondition, HeadwaterError, InvalidArgument, NotFound
from headwater.registry.v1 import lineage_pb2, model_versions_pb2, models_pb2
from tests.data.models.onnx_files import linear_model
from tests.integration.registry.client import DEFAULT, DIGITS, Client

State = artifact_pb2.ModelMetadata.State
BASIC = model_versions_pb2.MODEL_VERSION_VIEW_BASIC
DATA = f"{DEFAULT}/datasets/imagenet/versions/v1.0.0"


async def _register(client: Client, content: bytes = b"weights", **said: Any) -> artifact_pb2.ModelMetadata:
    artifact = await client.upload(content)
    file = models_pb2.ModelFileReference(path="model.onnx", artifact=artifact.name)
    return await client.models.CreateModelVersion(
        models_pb2.CreateModelVersionRequest(**{"parent": DIGITS, "files": [file], **said})
    )


async def _get(client: Client, version: str, **options: Any) -> artifact_pb2.ModelMetadata:
    request = models_pb2.GetModelVersionRequest(name=f"{DIGITS}/versions/{version}", **options)
    return await client.models.GetModelVersion(request)


async def test_a_version_tells_what_its_maker_and_its_files_say(client: Client) -> None:
    """R-18, R-19, R-24, R-26, K-03."""
    node = artifact_pb2.DataMetadata(name=DATA, digest=f"sha256:{'a' * 64}", version="v1.0.0")
    await client.lineage.CreateConnections(
        lineage_pb2.CreateConnectionsRequest(
            parent=DEFAULT, artifacts=[artifact_pb2.ArtifactMetadata(data_metadata=node)]
        )
    )
    made = await _register(
        client,
        linear_model(4, 3),
        semantic_version="1.0.0",
        tags=["vision", "vision", "small"],
        annotations={"ticket": "12"},
        source="s3://elsewhere/model",
        user_metadata={
            "framework": "pytorch",
            "architecture": "resnet50",
            "params": "25000000",
            "accuracy": "0.92",
            "task": "image-classification",
            "training_dataset": "imagenet-v1",
            "dataset": "nobody",
            "hyperparameters": '{"epochs": 100}',
        },
    )
    assert made == await _get(client, "1")
    assert (made.name, made.semantic_version, made.version) == (f"{DIGITS}/versions/1", "v1.0.0", "1")
    assert (made.framework.name, made.kind, made.task) == ("pytorch", "resnet50", "image-classification")
    assert (made.metadata["params"].number_value, made.metadata["accuracy"].number_value) == (25_000_000, 0.92)
    assert made.hyperparameters["epochs"].number_value == 100
    assert (list(made.dataset_versions), list(made.dangling_links)) == ([DATA], ["dataset: nobody"])
    assert list(made.missing_metadata) == ["training_date", "author"]
    assert (list(made.tags), dict(made.annotations)) == (["vision", "small"], {"ticket": "12"})
    assert (made.format, made.state) == (artifact_pb2.ModelFile.FORMAT_ONNX, State.STATE_ACTIVE)
    assert made.size_bytes == made.files[0].size_bytes > 0
    [weights] = made.files[0].tensors
    assert (weights.name, made.files[0].operators["MatMul"]) == ("w", 1)

    basic = await _get(client, "v1.0.0", view=BASIC)
    assert not basic.files[0].tensors
    del made.files[0].operators["MatMul"]
    assert (basic.inputs, basic.files[0].format) == (made.inputs, artifact_pb2.ModelFile.FORMAT_ONNX)

    told = await client.models.GetModelVersionDocument(
        model_versions_pb2.GetModelVersionDocumentRequest(name=f"{DIGITS}/versions/1.0.0")
    )
    document = json.loads(told.json)
    assert list(document) == [
        "model_id",
        "version",
        "format",
        "framework",
        "architecture",
        "parameters",
        "tensor_info",
        "provenance",
        "stage",
        "created_at",
        "headwater",
    ]
    assert document["version"] == "v1.0.0"
    assert document["provenance"]["training_dataset"] == "imagenet-v1"

    uses = await client.lineage.GetLineage(
        lineage_pb2.GetLineageRequest(name=DATA, direction=lineage_pb2.GetLineageRequest.DIRECTION_DOWNSTREAM)
    )
    assert [node.model_metadata.name for node in uses.artifacts if node.HasField("model_metadata")] == [made.name]


async def test_a_semantic_version_names_a_version_wherever_one_is_named(client: Client) -> None:
    """K-02; in answers the name is by number."""
    for version in ("v1.0.0", "v1.1.0"):
        await _register(client, semantic_version=version)
    name, by_number = f"{DIGITS}/versions/v1.1.0", f"{DIGITS}/versions/2"
    calls: tuple[tuple[Any, Any], ...] = (
        (client.models.GetModelVersion, models_pb2.GetModelVersionRequest(name=name)),
        (
            client.models.UpdateModelVersion,
            model_versions_pb2.UpdateModelVersionRequest(
                model_version=artifact_pb2.ModelMetadata(name=name, description="x")
            ),
        ),
        (
            client.models.SetModelVersionStage,
            models_pb2.SetModelVersionStageRequest(name=name, stage=artifact_pb2.ModelMetadata.STAGE_STAGING),
        ),
        (
            client.models.ArchiveModelVersion,
            model_versions_pb2.ArchiveModelVersionRequest(name=name, force=True),
        ),
        (client.models.ReactivateModelVersion, model_versions_pb2.ReactivateModelVersionRequest(name=name)),
        (client.models.DeprecateModelVersion, model_versions_pb2.DeprecateModelVersionRequest(name=name)),
    )
    for call, request in calls:
        assert (await call(request)).name == by_number, request
    model = await client.models.SetModelAlias(
        models_pb2.SetModelAliasRequest(name=DIGITS, alias="new", version="1.1.0")
    )
    assert (model.aliases["new"], model.latest_semantic_version) == ("2", "v1.1.0")
    assert list((await _get(client, "2")).aliases) == ["new"]


async def test_a_version_is_taken_out_of_use_and_comes_back(client: Client) -> None:
    """M-04 to M-06, M-09."""
    for _ in range(2):
        await _register(client)
    one, two = f"{DIGITS}/versions/1", f"{DIGITS}/versions/2"

    async def listed(**options: Any) -> list[str]:
        answer = await client.models.ListModelVersions(models_pb2.ListModelVersionsRequest(parent=DIGITS, **options))
        return [version.name for version in answer.model_versions]

    deprecated = await client.models.DeprecateModelVersion(
        model_versions_pb2.DeprecateModelVersionRequest(name=one, replacement=two)
    )
    assert (deprecated.state, deprecated.replacement) == (State.STATE_DEPRECATED, two)
    assert two in deprecated.warning
    assert (await listed(), await listed(show_inactive=True)) == ([two], [two, one])
    archived = await client.models.ArchiveModelVersion(model_versions_pb2.ArchiveModelVersionRequest(name=one))
    assert (archived.state, archived.replacement) == (State.STATE_ARCHIVED, "")
    with pytest.raises(FailedPrecondition) as refused:
        await client.models.SetModelVersionStage(
            models_pb2.SetModelVersionStageRequest(name=one, stage=artifact_pb2.ModelMetadata.STAGE_PRODUCTION)
        )
    assert refused.value.reason == "MODEL_VERSION_ARCHIVED"
    back = await client.models.ReactivateModelVersion(model_versions_pb2.ReactivateModelVersionRequest(name=one))
    assert back.state == State.STATE_ACTIVE

    await client.models.SetModelVersionStage(
        models_pb2.SetModelVersionStageRequest(name=two, stage=artifact_pb2.ModelMetadata.STAGE_PRODUCTION)
    )
    with pytest.raises(FailedPrecondition) as refused:
        await client.models.ArchiveModelVersion(model_versions_pb2.ArchiveModelVersionRequest(name=two))
    assert (refused.value.reason, "production" in refused.value.message) == ("IN_USE", True)


async def test_an_update_changes_what_its_mask_names(client: Client) -> None:
    await _register(client, description="first", tags=["a"])
    name = f"{DIGITS}/versions/1"

    async def update(mask: list[str] | None, etag: str = "", **fields: Any) -> artifact_pb2.ModelMetadata:
        request = model_versions_pb2.UpdateModelVersionRequest(
            model_version=artifact_pb2.ModelMetadata(name=name, etag=etag, **fields),
            update_mask=FieldMask(paths=mask or []),
        )
        return await client.models.UpdateModelVersion(request)

    only_set = await update(None, tags=["b"])
    assert (only_set.description, list(only_set.tags)) == ("first", ["b"])
    cleared = await update(["description"], only_set.etag, description="")
    assert (cleared.description, list(cleared.tags)) == ("", ["b"])
    everything = await update(["*"], description="new")
    assert (everything.description, list(everything.tags)) == ("new", [])
    with pytest.raises(Aborted):
        await update(["description"], only_set.etag, description="late")
    for mask, fields in ((["digest"], {}), (None, {"kind": "resnet"}), (["tags"], {"tags": ["x" * 256]})):
        with pytest.raises(InvalidArgument):
            await update(mask, **fields)


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"semantic_version": "20240115"}, "INVALID_SEMANTIC_VERSION"),
    ({"semantic_version": "2024.01.15"}, "INVALID_SEMANTIC_VERSION"),
    ({"semantic_version": "1700000000"}, "INVALID_SEMANTIC_VERSION"),
    ({"semantic_version": "v1.0.0-rc1"}, "INVALID_SEMANTIC_VERSION"),
    ({"semantic_version": "v1.0.0"}, "VERSION_NOT_GREATER"),
    ({"semantic_version": "v1.0.1"}, "BREAKING_CHANGE"),
    ({"user_metadata": {"params": "many"}}, "INVALID_USER_METADATA"),
    ({"user_metadata": {"hyperparameters": '{"a": "\\u0000"}'}}, "INVALID_USER_METADATA"),
    ({"framework": {"name": "jax"}, "user_metadata": {"framework": "pytorch"}}, "METADATA_CONFLICT"),
    ({"dataset_versions": ["../x"]}, "INVALID_NAME"),
    ({"dataset_versions": [DIGITS]}, "INVALID_NAME"),
    ({"logged_model": "projects/other/loggedModels/m"}, "INVALID_FIELD"),
    ({"tags": ["x" * 300]}, "INVALID_FIELDS"),
    ({"annotations": {"x" * 300: ""}}, "INVALID_FIELD"),
)


async def test_what_cannot_be_said_of_a_version_is_refused_by_name_and_leaves_nothing(client: Client) -> None:
    await _register(client, linear_model(4, 3), semantic_version="v1.0.0")
    for said, reason in WRONG:
        with pytest.raises(HeadwaterError) as refused:
            await _register(client, linear_model(5, 3), **said)
        assert refused.value.reason == reason, said
    with pytest.raises(NotFound):
        await _get(client, "2")


async def test_whatever_is_said_of_a_version_is_read_in_lists_too(client: Client) -> None:
    """R-19, promise 8: protobuf's readers stop at a hundred levels, and a list has one more than what was sent."""
    deepest = struct_pb2.Value(number_value=1)
    for _ in range(32):
        deepest = struct_pb2.Value(struct_value=struct_pb2.Struct(fields={"a": deepest}))
    said = {"hyperparameters": '{"b": ' * 32 + "1" + "}" * 32}
    made = await _register(client, hyperparameters={"a": deepest}, user_metadata=said)

    lists = struct_pb2.Value(number_value=1)
    for _ in range(49):  # the deepest that a request of this kind can carry
        lists = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[lists]))
    with pytest.raises(InvalidArgument, match="within each other") as refused:
        await _register(client, hyperparameters={"x": lists})
    assert refused.value.reason == "INVALID_FIELD"

    listed = await client.models.ListModelVersions(models_pb2.ListModelVersionsRequest(parent=DIGITS))
    assert list(listed.model_versions) == [made]


async def test_what_names_no_version_is_refused(client: Client) -> None:
    calls: tuple[tuple[Any, Any], ...] = (
        (client.models.GetModelVersion, models_pb2.GetModelVersionRequest()),
        (client.models.GetModelVersionDocument, model_versions_pb2.GetModelVersionDocumentRequest()),
        (client.models.ArchiveModelVersion, model_versions_pb2.ArchiveModelVersionRequest()),
        (client.models.DeprecateModelVersion, model_versions_pb2.DeprecateModelVersionRequest()),
        (client.models.ReactivateModelVersion, model_versions_pb2.ReactivateModelVersionRequest()),
    )
    for version in ("0", "1.2", "v01.0.0", "1e3", "-1", "latest", "1.2.3.4", "９"):
        for call, request in calls:
            request.name = f"{DIGITS}/versions/{version}"
            with pytest.raises(InvalidArgument) as refused:
                await call(request)
            assert refused.value.reason == "INVALID_NAME"

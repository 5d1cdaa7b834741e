"""Versions between proto and domain."""

import re
from collections.abc import Sequence

from chassis.etags import etag_of
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ArtifactName, InvalidName, ModelName, ModelVersionName, RunName
from headwater.registry.v1 import models_pb2
from services.registry import convert
from services.registry.artifacts.model import digest_in
from services.registry.formats import Tensor
from services.registry.models.model import EXCLUSIVE, Stage
from services.registry.versions.errors import InvalidFiles
from services.registry.versions.model import ModelFile, ModelVersion, NewVersion, Transition

_NUMBER = re.compile(r"v?([1-9][0-9]{0,8})", re.ASCII)
_Stage = artifact_pb2.ModelMetadata.Stage


def version_number(text: str, field: str = "version") -> int:
    """The number of a version, written ``3`` or ``v3``.

    Raises:
        InvalidName
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise InvalidName(f"{field}: a version of a model is a number, 1 or more.", field=field)
    return int(match[1])


def version_name(text: str) -> tuple[ModelName, int]:
    """Model and number out of a version's resource name, or raise InvalidName."""
    name = ModelVersionName.parse(text)
    return ModelName(name.project, name.model), version_number(name.version)


def new_version(request: models_pb2.CreateModelVersionRequest, parent: ModelName) -> NewVersion:
    """What the request says of the version to be, checked."""
    files: dict[str, ArtifactName] = {}
    for file in request.files:
        artifact = ArtifactName.parse(file.artifact, "files.artifact")
        digest_in(artifact)
        _check_project(artifact.project, parent, "files.artifact")
        if files.setdefault(file.path, artifact) != artifact:
            raise InvalidFiles(f"The path {file.path} is there twice.", path=file.path)
    run = RunName.parse(request.run, "run") if request.run else None
    if run is not None:
        _check_project(run.project, parent, "run")
    return NewVersion(
        files=files,
        run=run,
        framework_name=convert.text(request.framework.name, "framework.name", convert.MAX_DISPLAY_NAME),
        framework_version=convert.text(request.framework.version, "framework.version", convert.MAX_DISPLAY_NAME),
        architecture=request.architecture,
        description=request.description,
        hyperparameters=convert.values_from_proto(request.hyperparameters, "hyperparameters"),
    )


def version_to_proto(version: ModelVersion) -> artifact_pb2.ModelMetadata:
    """The version as a message."""
    return artifact_pb2.ModelMetadata(
        id=convert.uuid(version.id, artifact_pb2.UUID.TYPE_MODEL_METADATA),
        name=str(version.name),
        description=version.description,
        kind=version.architecture,
        version=str(version.version),
        hyperparameters=convert.values_to_proto(version.hyperparameters),
        framework=artifact_pb2.Framework(name=version.framework_name, version=version.framework_version),
        storage_location=str(ArtifactName(version.project, version.primary_digest.removeprefix("sha256:"))),
        run=convert.uuid(version.run_id, artifact_pb2.UUID.TYPE_RUN),
        project=convert.uuid(version.project_id, artifact_pb2.UUID.TYPE_PROJECT),
        create_ts=convert.timestamp(version.create_time),
        digest=version.digest,
        files=[_file(file) for file in version.files],
        stage=_Stage.ValueType(version.stage),
        inputs=_tensors(version.inputs),
        outputs=_tensors(version.outputs),
        parameter_count=version.parameter_count,
        run_name=version.run,
        dataset_versions=version.dataset_versions,
        pipeline_versions=version.pipeline_versions,
        created_by=version.created_by,
        etag=etag_of(version.revision),
        metrics=version.metrics,
    )


def exclusive_stage(value: _Stage.ValueType) -> Stage:
    """A stage that one version holds.

    Raises:
        InvalidField: many versions can be in it.
    """
    stage = Stage(value) if value else Stage.DEVELOPMENT
    if stage not in EXCLUSIVE:
        raise convert.InvalidField("Only staging and production point to one version.", field="stage")
    return stage


def transition_to_proto(model: ModelName, transition: Transition) -> models_pb2.StageTransition:
    """The move as a message."""
    return models_pb2.StageTransition(
        model_version=str(ModelVersionName(model.project, model.model, str(transition.version))),
        from_stage=_Stage.ValueType(transition.from_stage),
        to_stage=_Stage.ValueType(transition.to_stage),
        actor=transition.actor,
        time=convert.timestamp(transition.time),
        comment=transition.comment,
    )


def _check_project(project: str, parent: ModelName, field: str) -> None:
    if project != parent.project:
        raise convert.InvalidField(f"{field} must be in the project of the model.", field=field)


def _file(file: ModelFile) -> artifact_pb2.ModelFile:
    return artifact_pb2.ModelFile(
        path=file.path,
        digest=file.digest,
        size_bytes=file.size_bytes,
        format=artifact_pb2.ModelFile.Format.ValueType(file.format),
        tensors=_tensors(file.tensors),
        properties=file.properties,
    )


def _tensors(tensors: Sequence[Tensor]) -> list[artifact_pb2.TensorSpec]:
    return [
        artifact_pb2.TensorSpec(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape) for tensor in tensors
    ]

"""Versions between proto and domain."""

import re
from collections.abc import Mapping, Sequence

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.artifact.v1 import artifact_pb2
from headwater.names import (
    ArtifactName,
    CheckpointName,
    DatasetVersionName,
    InvalidName,
    LoggedModelName,
    ModelName,
    ModelVersionName,
    ProjectName,
    RunName,
)
from headwater.registry.v1 import model_versions_pb2, models_pb2
from headwater.semver import SemVer
from services.registry import convert
from services.registry.artifacts.model import digest_in
from services.registry.versions.completeness import missing_metadata
from services.registry.versions.contents import convert as contents_convert
from services.registry.versions.errors import InvalidFiles
from services.registry.versions.model import ModelVersion, NewVersion, View, Which
from services.registry.versions.options import Option, conversions, deployment_targets
from services.registry.versions.preprocessing import Preprocessing, stated

_NUMBER = re.compile(r"v?([1-9][0-9]{0,8})", re.ASCII)
_MAX_TAGS = 100
_DESCRIBED = ("description", "annotations", "tags")
_Stage = artifact_pb2.ModelMetadata.Stage
_State = artifact_pb2.ModelMetadata.State


def which_version(text: str, field: str = "version") -> Which:
    """Which version is meant: ``3`` or ``v3`` by its number, ``v1.2.3`` or ``1.2.3`` by its semantic version.

    Raises:
        InvalidName
    """
    semantic, number = SemVer.match(text), _NUMBER.fullmatch(text)
    if semantic is not None:
        return semantic
    if number is None:
        raise InvalidName(f"{field}: a version of a model is a number, 1 or more, or like v1.2.3.", field=field)
    return int(number[1])


def version_name(text: str, field: str = "name") -> tuple[ModelName, Which]:
    """Model and version out of a version's resource name, or raise InvalidName."""
    name = ModelVersionName.parse(text, field)
    return ModelName(name.project, name.model), which_version(name.version)


def parent_of_versions(text: str) -> ModelName | ProjectName:
    """A model, or for ``projects/{project}/models/-`` the project with all of its models.

    Raises:
        InvalidName
    """
    project, dash, rest = text.partition("/models/-")
    return ProjectName.parse(project, "parent") if dash and not rest else ModelName.parse(text, "parent")


def view(value: model_versions_pb2.ModelVersionView.ValueType) -> View:
    """How much to tell."""
    return View.BASIC if value == model_versions_pb2.MODEL_VERSION_VIEW_BASIC else View.FULL


def new_version(request: models_pb2.CreateModelVersionRequest, parent: ModelName) -> NewVersion:
    """What the request says of the version to be, checked."""
    run = RunName.parse(request.run, "run") if request.run else None
    logged = LoggedModelName.parse(request.logged_model, "logged_model") if request.logged_model else None
    for name, field in ((run, "run"), (logged, "logged_model")):
        if name is not None:
            _check_project(name.project, parent, field)
    return NewVersion(
        files=_new_files(request, parent),
        run=run,
        framework_name=convert.text(request.framework.name, "framework.name", convert.MAX_DISPLAY_NAME),
        framework_version=convert.text(request.framework.version, "framework.version", convert.MAX_DISPLAY_NAME),
        architecture=request.architecture,
        description=request.description,
        hyperparameters=convert.values_from_proto(request.hyperparameters, "hyperparameters"),
        semantic_version=request.semantic_version,
        user_metadata=dict(request.user_metadata),
        task=request.task,
        annotations=convert.pairs(request.annotations, "annotations"),
        tags=_tags(request.tags, "tags"),
        source=request.source,
        logged_model=logged,
        dataset_versions=[_data_name(name) for name in request.dataset_versions],
        preprocessing=_preprocessing(request),
    )


def description_changes(request: model_versions_pb2.UpdateModelVersionRequest) -> Mapping[str, object]:
    """The new values of what an update is about, by field of ModelVersion.

    Raises:
        InvalidUpdateMask, InvalidField
    """
    version, paths = request.model_version, request.update_mask.paths
    if not paths:
        convert.refuse_other_fields(version, ("name", "etag", *_DESCRIBED), "model_version")
    values: dict[str, object] = {
        "description": convert.text(version.description, "model_version.description", convert.MAX_DESCRIPTION),
        "annotations": convert.pairs(version.annotations, "model_version.annotations"),
        "tags": _tags(version.tags, "model_version.tags"),
    }
    return {field: values[field] for field in masked(version, paths, _DESCRIBED)}


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
        annotations=version.annotations,
        create_ts=convert.timestamp(version.create_time),
        tags=version.tags,
        digest=version.digest,
        files=[contents_convert.file_to_proto(file) for file in version.files],
        stage=_Stage.ValueType(version.stage),
        inputs=contents_convert.tensors_to_proto(version.inputs),
        outputs=contents_convert.tensors_to_proto(version.outputs),
        parameter_count=version.parameter_count,
        run_name=version.run,
        dataset_versions=version.dataset_versions,
        pipeline_versions=version.pipeline_versions,
        created_by=version.created_by,
        etag=etag_of(version.revision),
        metrics=version.metrics,
        semantic_version=str(version.semantic_version or ""),
        format=artifact_pb2.ModelFile.Format.ValueType(version.format),
        task=version.task,
        metadata=convert.values_to_proto(version.user_metadata),
        missing_metadata=missing_metadata(version),
        dangling_links=version.dangling_links,
        state=_State.ValueType(version.state),
        replacement=version.replacement,
        problems=version.problems,
        aliases=version.aliases,
        size_bytes=version.size_bytes,
        update_time=convert.timestamp(version.update_time),
        source=version.source,
        breaking_changes=version.breaking_changes,
        logged_model=version.logged_model,
        model_uid=version.model_id,
        warning=version.warning,
        preprocessing=_preprocessing_to_proto(version.preprocessing),
    )


def whole_to_proto(version: ModelVersion) -> artifact_pb2.ModelMetadata:
    """The version, whose view is FULL, as a message that says also what can be made of it."""
    message = version_to_proto(version)
    message.conversions.extend(_option(option) for option in conversions(version))
    message.deployment_targets.extend(_option(option) for option in deployment_targets(version))
    return message


def _option(option: Option) -> artifact_pb2.ModelOption:
    return artifact_pb2.ModelOption(target=option.target, by=option.by, condition=option.condition)


def _preprocessing(request: models_pb2.CreateModelVersionRequest) -> Preprocessing | None:
    if not request.HasField("preprocessing"):
        return None
    given = request.preprocessing
    made = stated(given.pipeline_version, given.document)
    if given.digest not in ("", made.digest):
        raise convert.InvalidField(
            f"preprocessing.digest is {given.digest}; that of the document is {made.digest}.",
            field="preprocessing.digest",
        )
    return made


def _preprocessing_to_proto(preprocessing: Preprocessing | None) -> artifact_pb2.Preprocessing | None:
    if preprocessing is None:
        return None
    return artifact_pb2.Preprocessing(
        pipeline_version=preprocessing.pipeline_version,
        digest=preprocessing.digest,
        document=preprocessing.document,
    )


def _new_files(request: models_pb2.CreateModelVersionRequest, parent: ModelName) -> dict[str, ArtifactName]:
    files: dict[str, ArtifactName] = {}
    for file in request.files:
        artifact = ArtifactName.parse(file.artifact, "files.artifact")
        digest_in(artifact)
        _check_project(artifact.project, parent, "files.artifact")
        if files.setdefault(file.path, artifact) != artifact:
            raise InvalidFiles(f"The path {file.path} is there twice.", path=file.path)
    return files


def _check_project(project: str, parent: ModelName, field: str) -> None:
    if project != parent.project:
        raise convert.InvalidField(f"{field} must be in the project of the model.", field=field)


def _tags(tags: Sequence[str], field: str) -> list[str]:
    """The words, each once, in the order given."""
    if len(tags) > _MAX_TAGS:
        raise convert.InvalidField(f"{field} may have at most {_MAX_TAGS} words.", field=field)
    for tag in tags:
        convert.text(tag, field, convert.MAX_DISPLAY_NAME)
    return list(dict.fromkeys(tag for tag in tags if tag))


def _data_name(name: str) -> str:
    """The name of a dataset version, or of a checkpoint of one."""
    parse = CheckpointName.parse if "/checkpoints/" in name else DatasetVersionName.parse
    return str(parse(name, "dataset_versions"))

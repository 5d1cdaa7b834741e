"""Models from Python: register a version, set objectives, move a version to a stage, take things out of use."""

import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from google.protobuf import struct_pb2

from headwater import artifacts, lineage
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import ModelName, ModelVersionName
from headwater.parity.words import PATH
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc

if TYPE_CHECKING:
    from headwater.parity import Parity

Stage: TypeAlias = artifact_pb2.ModelMetadata.Stage.ValueType
"""Where a version stands, a value of ``ModelMetadata.Stage``."""

_STAGES: Final = {
    "development": artifact_pb2.ModelMetadata.STAGE_DEVELOPMENT,
    "staging": artifact_pb2.ModelMetadata.STAGE_STAGING,
    "production": artifact_pb2.ModelMetadata.STAGE_PRODUCTION,
    "archived": artifact_pb2.ModelMetadata.STAGE_ARCHIVED,
}


def stage(text: str) -> Stage:
    """``production``, ``Production`` or ``PRODUCTION`` (K-01).

    Raises:
        InvalidArgument: naming the stages there are.
    """
    try:
        return _STAGES[text.lower()]
    except KeyError:
        raise InvalidArgument(f"No stage {text!r}; there are {', '.join(_STAGES)}.", stage=text) from None


def register(
    connection: Connection,
    model: ModelName,
    files: Mapping[str, Path],
    *,
    semantic_version: str = "",
    framework: str = "",
    architecture: str = "",
    task: str = "",
    description: str = "",
    hyperparameters: Mapping[str, struct_pb2.Value] | None = None,
    user_metadata: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    dataset_versions: Sequence[str] = (),
    run: str = "",
    logged_model: str = "",
    source: str = "",
    preprocessing: artifact_pb2.Preprocessing | None = None,
    parity: "Parity | None" = None,
) -> artifact_pb2.ModelMetadata:
    """Upload ``files`` (path within the version → local file) and register them as the model's next version.

    See ``CreateModelVersionRequest`` for what is said of it. ``preprocessing`` is the pipeline that prepares its inputs
    and ``parity`` what it must answer wherever it is served, see headwater.model_preprocessing; a record may also be
    among the files, as ``parity.json``.

    Raises:
        InvalidArgument: what the files hold, or what is said of them, is wrong; the text names it.
        FailedPrecondition: reason BREAKING_CHANGE or VERSION_NOT_GREATER, of the semantic version.
    """
    with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
        files = _with_parity(files, parity, preprocessing, Path(directory))
        lineage.know(connection, dataset_versions)
        references = [
            models_pb2.ModelFileReference(path=path, artifact=stored.name)
            for path, file in files.items()
            for stored in [artifacts.upload(connection, file, project=model.project)]
        ]
    request = models_pb2.CreateModelVersionRequest(
        parent=str(model),
        files=references,
        semantic_version=semantic_version,
        framework=artifact_pb2.Framework(name=framework),
        architecture=architecture,
        task=task,
        description=description,
        hyperparameters=hyperparameters,
        user_metadata=user_metadata,
        annotations=annotations,
        tags=tags,
        dataset_versions=dataset_versions,
        run=run,
        logged_model=logged_model,
        source=source,
        preprocessing=preprocessing,
        request_id=str(uuid.uuid4()),
    )
    return _models(connection).CreateModelVersion(request)


def _with_parity(
    files: Mapping[str, Path], record: "Parity | None", prepared: artifact_pb2.Preprocessing | None, directory: Path
) -> Mapping[str, Path]:
    """The files with the parity record, which is looked at before anything is uploaded."""
    if record is None and PATH not in files:
        return files
    if record is not None and PATH in files:
        raise InvalidArgument(f"{PATH} is there, and another record is given.", path=PATH)
    from headwater import model_preprocessing, parity  # numpy, for those who need it

    text = model_preprocessing.checked(files[PATH].read_bytes() if record is None else parity.write(record), prepared)
    (directory / PATH).write_bytes(text)
    return {**files, PATH: directory / PATH}


def files_in(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by their paths within a version: a file under its name, those of a folder under their paths in it, but
    for hidden ones.

    Raises:
        InvalidArgument: there is none, or two have one path.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for name, file in (_shown_in(path) if path.is_dir() else {path.name: path}).items():
            if found.setdefault(name, file) != file:
                raise InvalidArgument(f"{found[name]} and {file} would both be {name}.", path=name)
    if not found:
        raise InvalidArgument("Give a file, or a folder with files in it.", field="files")
    return found


def _shown_in(folder: Path) -> dict[str, Path]:
    files = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    return {
        name.as_posix(): file for name, file in files.items() if not any(part.startswith(".") for part in name.parts)
    }


def deprecate(
    connection: Connection, name: ModelName | ModelVersionName, replacement: ModelName | ModelVersionName | None = None
) -> models_pb2.Model | artifact_pb2.ModelMetadata:
    """Say that a model or version should not be used any more, and what to use instead: who uses it is warned."""
    stub, instead = _models(connection), str(replacement or "")
    if isinstance(name, ModelVersionName):
        request = model_versions_pb2.DeprecateModelVersionRequest(name=str(name), replacement=instead)
        return stub.DeprecateModelVersion(request)
    return stub.DeprecateModel(models_pb2.DeprecateModelRequest(name=str(name), replacement=instead))


def archive(
    connection: Connection, name: ModelName | ModelVersionName, *, force: bool = False
) -> models_pb2.Model | artifact_pb2.ModelMetadata:
    """Take a model or version out of use; it stays readable.

    Raises:
        FailedPrecondition: reason IN_USE, and what depends on it, unless ``force`` is set.
    """
    stub = _models(connection)
    if isinstance(name, ModelVersionName):
        return stub.ArchiveModelVersion(model_versions_pb2.ArchiveModelVersionRequest(name=str(name), force=force))
    return stub.ArchiveModel(models_pb2.ArchiveModelRequest(name=str(name), force=force))


def reactivate(
    connection: Connection, name: ModelName | ModelVersionName
) -> models_pb2.Model | artifact_pb2.ModelMetadata:
    """Put a deprecated or archived model or version back into use; an archived model is named by its uid."""
    stub = _models(connection)
    if isinstance(name, ModelVersionName):
        return stub.ReactivateModelVersion(model_versions_pb2.ReactivateModelVersionRequest(name=str(name)))
    return stub.ReactivateModel(models_pb2.ReactivateModelRequest(name=str(name)))


def promote(
    connection: Connection,
    version: ModelVersionName,
    stage: Stage,
    *,
    comment: str = "",
    evidence: Iterable[model_versions_pb2.Evidence] = (),
) -> artifact_pb2.ModelMetadata:
    """Move a version to a stage.

    Raises:
        FailedPrecondition: reason OBJECTIVE_NOT_MET, with the metric, the bound and the value; reason UNSAFE_MODEL or
            MODEL_VERSION_ARCHIVED for a version that may not be served.
    """
    request = models_pb2.SetModelVersionStageRequest(name=str(version), stage=stage, comment=comment, evidence=evidence)
    return _models(connection).SetModelVersionStage(request)


def require(
    connection: Connection,
    model: ModelName,
    *,
    objective_id: str,
    metric: str,
    stage: Stage,
    at_least: float | None = None,
    at_most: float | None = None,
) -> models_pb2.Objective:
    """Add an objective: from now on a version enters ``stage`` only when ``metric`` keeps the bound.

    Raises:
        InvalidArgument: unless exactly one of ``at_least`` and ``at_most`` is given.
    """
    objective = models_pb2.Objective(metric=metric, stage=stage)
    match at_least, at_most:
        case float(bound), None:
            objective.comparison, objective.bound = models_pb2.Objective.COMPARISON_AT_LEAST, bound
        case None, float(bound):
            objective.comparison, objective.bound = models_pb2.Objective.COMPARISON_AT_MOST, bound
        case _:
            raise InvalidArgument("Give exactly one of at_least and at_most.", field="bound")
    request = models_pb2.CreateObjectiveRequest(
        parent=str(model), objective_id=objective_id, objective=objective, request_id=str(uuid.uuid4())
    )
    return _models(connection).CreateObjective(request)


def _models(connection: Connection) -> models_pb2_grpc.ModelServiceStub:
    return models_pb2_grpc.ModelServiceStub(connection.channel("registry"))

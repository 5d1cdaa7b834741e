"""What a document becomes in the registry: the model, its next version and that version's files."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from headwater import references
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import InvalidArgument
from headwater.names import DatasetVersionName
from headwater.packaging import local, writer
from headwater.packaging.description import Metadata, ModelDescription, Origin
from headwater.packaging.documents import write
from headwater.packaging.general import HEADWATER
from headwater.packaging.model import ModelPackage
from headwater.packaging.stages import Serve, Train
from headwater.packaging.values import slug

PACKAGE_FILE: Final = "model-package.yml"
"""The document itself, among a version's files: canonical, and without secrets."""
_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}", re.ASCII)
_MAX_FILES: Final = 999
_MAX_ANNOTATION: Final = 4096
_MAX_NAME: Final = 255


class NamelessModel(InvalidArgument):
    """Nothing says what the model is called."""

    reason = "NAMELESS_MODEL"
    text = "Say what the model is called: write name or model_identifier, or give a model."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be registered."""

    model_id: str
    display_name: str
    description: str = ""
    framework: artifact_pb2.Framework | None
    files: Mapping[str, Path]
    text: str
    task: str = ""
    hyperparameters: Mapping[str, Any]
    annotations: Mapping[str, str]
    user_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    dataset_versions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def of_package(package: ModelPackage, folder: Path, model: str, project: str) -> Plan:
    """What a package becomes.

    Raises:
        NamelessModel
        LocalFileRefused: see :mod:`headwater.packaging.local`.
    """
    framework = package.framework
    runtime = framework.runtimes if framework else None
    files = dict(_files_of_package(package, folder))
    warnings = [f"{path} is not kept: it is for other platforms" for path in _not_kept(package)]
    if not files:
        warnings.append("no version was made: the package names no model file on this machine (servable_model_local)")
    said: dict[str, Any] = {
        "license": package.license,
        "domain": package.domain,
        "website": package.website,
        "author": package.author and " ".join(filter(None, (package.author.name, package.author.email))),
        "runtime": " ".join(filter(None, (runtime.name, runtime.version))) if runtime else "",
        "labels": ", ".join(label.url for label in package.labels if label.url),
        "pipelines": ", ".join(uuid for label in package.labels for uuid in label.pipeline_uuids),
        **({f"data.{key}": value for key, value in dataclasses.asdict(package.data).items()} if package.data else {}),
    }
    return Plan(
        model_id=_model_id(model or package.model_identifier or package.name),
        display_name=package.name or package.model_identifier or model,
        description=package.description,
        framework=artifact_pb2.Framework(name=framework.name, version=framework.version) if framework else None,
        files=files,
        text=write(package),
        task=package.purpose,
        hyperparameters=package.train.training_params if package.train else {},
        annotations={key: value for key, value in said.items() if value},
        user_metadata=_named({"author": said["author"]}),
        dataset_versions=_datasets(package, project),
        warnings=tuple(warnings),
    )


def _not_kept(package: ModelPackage) -> Iterator[str]:
    """What means something to those who train or serve elsewhere; the version's own document has it."""
    if package.train and package.train.training_container_image:
        yield "train.training_container_image"
    if package.serve and package.serve.serving_container_image:
        yield "serve.serving_container_image"
    if package.container_stores:
        yield "container_stores"


def _files_of_package(package: ModelPackage, folder: Path) -> Iterator[tuple[str, Path]]:
    """Path in the version → file: of the model that is served or, where none is told, trained or converted."""
    serve, train = package.serve or Serve(), package.train or Train()
    found = {
        "serve.model_source.servable_model_local": serve.model_source and serve.model_source.servable_model_local,
        "train.model_training_results.trained_model_local": (
            train.model_training_results and train.model_training_results.trained_model_local
        ),
        "convert.onnx_converted_model.onnx_model_local": (
            package.convert
            and package.convert.onnx_converted_model
            and package.convert.onnx_converted_model.onnx_model_local
        ),
    }
    for field, at in found.items():
        if at and at.path:
            yield from _files(local.path(folder, at.path, f"{field}.path"), folder.resolve(), f"{field}.path")
            return


def _files(path: Path, folder: Path, field: str) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield _checked(path.name, field), path
        return
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files or len(files) > _MAX_FILES:
        message = f"{field}: {path.name} holds {len(files)} files; there must be 1 to {_MAX_FILES}."
        raise local.LocalFileRefused(message, field=field)
    for file in files:
        if not file.resolve().is_relative_to(folder):
            raise local.LocalFileRefused(f"{field}: {file.name} is a link out of the folder.", field=field)
        yield _checked(file.relative_to(path).as_posix(), field), file


def _checked(path: str, field: str) -> str:
    if not _PATH.fullmatch(path) or path == PACKAGE_FILE:
        message = f"{field}: {path[:200]} cannot be a file of a version: its name has letters, digits and ._- only."
        raise local.LocalFileRefused(message, field=field)
    return path


def _datasets(package: ModelPackage, project: str) -> tuple[str, ...]:
    """The dataset version that is trained on, where it is one of Headwater's."""
    data = package.train.data_source.training_data if package.train and package.train.data_source else None
    stores = {store.name for store in package.data_stores if store.type == HEADWATER}
    if data is None or data.data_store not in stores or "@" not in data.path:
        return ()
    version = references.dataset_version(data.path, project)
    return (str(version),) if isinstance(version, DatasetVersionName) else ()


def of_description(description: ModelDescription, folder: Path, model: str) -> Plan:
    """What a description becomes.

    Raises:
        NamelessModel
        LocalFileRefused: see :mod:`headwater.packaging.local`.
    """
    files: dict[str, Path] = {}
    warnings = []
    for at, artifact in enumerate(description.runtime_artifacts):
        field = f"runtimeArtifacts[{at}].uri"
        if "://" in artifact.uri:
            warnings.append(f"{field} is not fetched: name a file beside the document to have it registered")
            continue
        path = local.path(folder, artifact.uri, field)
        for name, file in _files(path, folder.resolve(), field):
            inside = f"{artifact.relative_path.rstrip('/')}/{name}" if path.is_dir() else artifact.relative_path
            files[_checked(inside if artifact.relative_path else name, field)] = file
    if not files:
        warnings.append("no version was made: the description names no file on this machine (runtimeArtifacts)")
    framework = description.framework
    said = {
        "created_by": description.created_by,
        "time_created": description.time_created.isoformat() if description.time_created else "",
        "expiry": description.expiry.isoformat() if description.expiry else "",
        "clustering": description.clustering,
        "dimensionality_reduction": description.dimensionality_reduction,
        **{f"custom.{key}": _text(value) for key, value in description.custom.items()},
        **{f"framework.{key}": _text(value) for key, value in (framework.custom if framework else {}).items()},
        "composition": _text(description.composition),
        **{f"origin.{key}": _text(value) for key, value in writer.plain(description.origin or Origin()).items()},
    }
    long = [key for key, value in said.items() if len(value) > _MAX_ANNOTATION]
    warnings += [f"{key} is kept in {PACKAGE_FILE} alone: it is long" for key in long]
    metadata = description.metadata or Metadata()
    return Plan(
        model_id=_model_id(model),
        display_name=model,
        framework=artifact_pb2.Framework(name=framework.name, version=framework.version) if framework else None,
        files=files,
        text=write(description),
        task=description.purpose,
        hyperparameters={},
        annotations={key: value for key, value in said.items() if value and key not in long},
        user_metadata=_named({"author": description.created_by, "training_dataset": metadata.link_to_dataset}),
        tags=tuple(f"{key}:{_text(value)}" for key, value in metadata.tags.items()),
        warnings=tuple(warnings),
    )


def _model_id(name: str) -> str:
    model_id = slug(name)
    if not model_id:
        raise NamelessModel
    return model_id


def _named(said: Mapping[str, str]) -> dict[str, str]:
    """What the registry reads of these: names that it links or no longer misses."""
    return {key: value for key, value in said.items() if value and len(value) <= _MAX_NAME}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)

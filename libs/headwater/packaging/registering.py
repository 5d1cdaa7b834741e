"""Documents → the registry: a package or a description becomes a model and its next version."""

import contextlib
import dataclasses
import datetime
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from headwater import artifacts, runs
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import AlreadyExists, FailedPrecondition
from headwater.names import DEFAULT_PROJECT, ModelName, ProjectName
from headwater.packaging.description import ModelDescription
from headwater.packaging.model import ModelPackage
from headwater.packaging.planning import PACKAGE_FILE, Plan, of_description, of_package
from headwater.registry.v1 import models_pb2, models_pb2_grpc


class ModelExpired(FailedPrecondition):
    """The model's document says that it may not be used any more."""

    reason = "MODEL_EXPIRED"


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """What became of a document."""

    model: str
    """The model's resource name."""
    version: artifact_pb2.ModelMetadata | None
    """The version; None where the document names no file on this machine."""
    warnings: tuple[str, ...]
    """What the document says and is not registered."""


def register(
    connection: Connection,
    document: ModelPackage | ModelDescription,
    folder: Path,
    *,
    model: str = "",
    semantic_version: str = "",
    project: str = DEFAULT_PROJECT,
    now: datetime.datetime | None = None,
) -> Registered:
    """Create the model, unless it is there, and a version of the files that the document names within ``folder``.

    Raises:
        ModelExpired: before anything is stored.
        LocalFileRefused: see :mod:`headwater.packaging.local`.
        NamelessModel
    """
    if isinstance(document, ModelDescription):
        if document.is_expired(now or datetime.datetime.now(datetime.UTC)):
            expiry = str(document.expiry)
            raise ModelExpired(f"The model expired on {expiry}.", expiry=expiry)
        plan = of_description(document, folder, model)
    else:
        plan = of_package(document, folder, model, project)
    return _store(connection, plan, ModelName(project, plan.model_id), semantic_version)


def _store(connection: Connection, plan: Plan, name: ModelName, semantic_version: str) -> Registered:
    stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
    new = models_pb2.CreateModelRequest(
        parent=str(ProjectName(name.project)),
        model_id=name.model,
        model=models_pb2.Model(display_name=plan.display_name, description=plan.description),
        request_id=str(uuid.uuid4()),
    )
    with contextlib.suppress(AlreadyExists):  # The version goes there; the model's own words stay.
        stub.CreateModel(new)
    if not plan.files:
        return Registered(str(name), None, plan.warnings)
    request = models_pb2.CreateModelVersionRequest(
        parent=str(name),
        files=_upload(connection, plan, name.project),
        semantic_version=semantic_version,
        framework=plan.framework,
        description=plan.description,
        hyperparameters={key: runs.value_of(value) for key, value in plan.hyperparameters.items() if value is not None},
        task=plan.task,
        annotations=plan.annotations,
        user_metadata=plan.user_metadata,
        tags=plan.tags,
        dataset_versions=plan.dataset_versions,
        request_id=str(uuid.uuid4()),
    )
    version = stub.CreateModelVersion(request)
    return Registered(str(name), version, plan.warnings)


def _upload(connection: Connection, plan: Plan, project: str) -> list[models_pb2.ModelFileReference]:
    with tempfile.TemporaryDirectory(prefix="headwater-") as directory:
        document = Path(directory) / PACKAGE_FILE
        document.write_text(plan.text, encoding="utf-8")
        files: Mapping[str, Path] = {**plan.files, PACKAGE_FILE: document}
        uploaded = {path: artifacts.upload(connection, file, project=project).name for path, file in files.items()}
    return [models_pb2.ModelFileReference(path=path, artifact=artifact) for path, artifact in uploaded.items()]

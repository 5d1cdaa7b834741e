"""Models from Python: register a version, set objectives, move a version to a stage."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from google.protobuf import struct_pb2

from headwater import artifacts
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import ModelName, ModelVersionName
from headwater.registry.v1 import models_pb2, models_pb2_grpc

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
    run: str = "",
    framework: str = "",
    architecture: str = "",
    hyperparameters: Mapping[str, struct_pb2.Value] | None = None,
) -> artifact_pb2.ModelMetadata:
    """Upload ``files`` (path within the version → local file) and register them as the model's next version."""
    references = [
        models_pb2.ModelFileReference(path=path, artifact=stored.name)
        for path, file in files.items()
        for stored in [artifacts.upload(connection, file, project=model.project)]
    ]
    request = models_pb2.CreateModelVersionRequest(
        parent=str(model),
        files=references,
        run=run,
        framework=artifact_pb2.Framework(name=framework),
        architecture=architecture,
        hyperparameters=hyperparameters,
        request_id=str(uuid.uuid4()),
    )
    return _models(connection).CreateModelVersion(request)


def promote(
    connection: Connection, version: ModelVersionName, stage: Stage, *, comment: str = ""
) -> artifact_pb2.ModelMetadata:
    """Move a version to a stage.

    Raises:
        FailedPrecondition: reason OBJECTIVE_NOT_MET, with the metric, the bound and the value.
    """
    request = models_pb2.SetModelVersionStageRequest(name=str(version), stage=stage, comment=comment)
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

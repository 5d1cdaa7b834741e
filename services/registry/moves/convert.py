"""Stages, aliases and their histories between proto and domain."""

import datetime
from collections.abc import Sequence

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, ModelVersionName, check_segment
from headwater.registry.v1 import model_versions_pb2, models_pb2
from services.registry import convert
from services.registry.models.model import EXCLUSIVE, Stage
from services.registry.moves.model import AliasChange, Evidence, Pointer, Transition, Why

_Stage = artifact_pb2.ModelMetadata.Stage


def why(request: models_pb2.SetModelVersionStageRequest | models_pb2.SetModelAliasRequest) -> Why:
    """Why something is to be moved."""
    return Why(request.comment, [Evidence(each.description, each.uri, each.digest) for each in request.evidence])


def pointer(request: models_pb2.ResolveModelVersionRequest) -> Pointer:
    """The stage or alias to follow.

    Raises:
        InvalidField: many versions can be in that stage.
        InvalidName: the alias is no name.
    """
    if request.WhichOneof("selector") == "alias":
        return check_segment(request.alias, "alias").lower()
    stage = Stage(request.stage) if request.stage else Stage.DEVELOPMENT
    if stage not in EXCLUSIVE:
        raise convert.InvalidField("Only staging and production point to one version.", field="stage")
    return stage


def time(request: models_pb2.ResolveModelVersionRequest) -> datetime.datetime | None:
    """The time to look at, None for now.

    Raises:
        InvalidField: no time between the years 1 and 9999.
    """
    if not request.HasField("time"):
        return None
    try:
        return request.time.ToDatetime(datetime.UTC)
    except (ValueError, OverflowError) as error:
        raise convert.InvalidField("time must lie between the years 1 and 9999.", field="time") from error


def transition_to_proto(model: ModelName, move: Transition) -> models_pb2.StageTransition:
    """The move as a message."""
    return models_pb2.StageTransition(
        model_version=_version(model, move.version),
        from_stage=_Stage.ValueType(move.from_stage),
        to_stage=_Stage.ValueType(move.to_stage),
        actor=move.actor,
        time=convert.timestamp(move.time),
        comment=move.why.comment,
        evidence=_evidence(move.why.evidence),
    )


def alias_change_to_proto(model: ModelName, change: AliasChange) -> models_pb2.AliasChange:
    """The move as a message."""
    return models_pb2.AliasChange(
        alias=change.alias,
        from_version=_version(model, change.from_version),
        to_version=_version(model, change.to_version),
        actor=change.actor,
        time=convert.timestamp(change.time),
        comment=change.why.comment,
        evidence=_evidence(change.why.evidence),
    )


def _version(model: ModelName, number: int) -> str:
    return str(ModelVersionName(model.project, model.model, str(number))) if number else ""


def _evidence(evidence: Sequence[Evidence]) -> list[model_versions_pb2.Evidence]:
    return [model_versions_pb2.Evidence(description=e.description, uri=e.uri, digest=e.digest) for e in evidence]

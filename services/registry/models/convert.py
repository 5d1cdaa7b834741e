"""Models and objectives between proto and domain."""

from collections.abc import Mapping
from typing import Any

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, check_segment
from headwater.registry.v1 import models_pb2
from services.registry import convert
from services.registry.models.model import About, Comparison, Model, NewObjective, Objective, Stage

_DESCRIBED = ("display_name", "description", "tags")
_Stage = artifact_pb2.ModelMetadata.Stage


def new_model(request: models_pb2.CreateModelRequest, project: str) -> tuple[ModelName, About]:
    """The name of the model to be and what is said of it, checked."""
    convert.refuse_other_fields(request.model, _DESCRIBED, "model")
    return ModelName(project, model_id(request.model_id)), About(**_described(request.model))


def model_id(text: str) -> str:
    """The last segment of a model's name, or raise InvalidName."""
    return check_segment(text, "model_id")


def model_changes(request: models_pb2.UpdateModelRequest) -> Mapping[str, Any]:
    """The fields that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask, InvalidField
    """
    if not request.update_mask.paths:  # else the mask says what is meant, and the rest of what was read may come along
        convert.refuse_other_fields(request.model, ("name", "etag", *_DESCRIBED), "model")
    said = _described(request.model)
    return {field: said[field] for field in masked(request.model, request.update_mask.paths, _DESCRIBED)}


def replacement(text: str, model: ModelName) -> ModelName | None:
    """What to use instead of a model; None where nothing is said.

    Raises:
        InvalidField: it is of another project.
    """
    name = ModelName.parse(text, "replacement") if text else None
    if name is not None and name.project != model.project:
        raise convert.InvalidField("replacement must be of the same project.", field="replacement")
    return name


def model_to_proto(model: Model) -> models_pb2.Model:
    """The model as a message."""
    return models_pb2.Model(
        name=str(model.name),
        uid=model.id,
        model_id=model.model_id,
        display_name=model.display_name,
        description=model.description,
        aliases={alias: str(version) for alias, version in model.aliases.items()},
        stages={stage.name.lower(): str(version) for stage, version in model.stages.items()},
        latest_version=str(model.latest_version) if model.latest_version else "",
        latest_semantic_version=str(model.latest_semantic_version or ""),
        create_time=convert.timestamp(model.create_time),
        created_by=model.created_by,
        etag=etag_of(model.revision),
        state=models_pb2.Model.State.ValueType(model.state),
        replacement=model.replacement,
        tags=model.tags,
        update_time=convert.timestamp(model.update_time),
    )


def new_objective(request: models_pb2.CreateObjectiveRequest) -> NewObjective:
    """What the request says of the objective to be, checked."""
    objective = request.objective
    convert.refuse_other_fields(objective, ("stage", "metric", "comparison", "bound"), "objective")
    return NewObjective(
        objective=check_segment(request.objective_id, "objective_id"),
        stage=Stage(objective.stage),
        metric=objective.metric,
        comparison=Comparison(objective.comparison),
        bound=objective.bound,
    )


def objective_to_proto(model: ModelName, objective: Objective) -> models_pb2.Objective:
    """The objective as a message."""
    return models_pb2.Objective(
        name=str(objective.name_in(model)),
        stage=_Stage.ValueType(objective.stage),
        metric=objective.metric,
        comparison=models_pb2.Objective.Comparison.ValueType(objective.comparison),
        bound=objective.bound,
        create_time=convert.timestamp(objective.create_time),
        created_by=objective.created_by,
    )


def _described(model: models_pb2.Model) -> Mapping[str, Any]:
    return {
        "display_name": convert.text(model.display_name, "model.display_name", convert.MAX_DISPLAY_NAME),
        "description": convert.text(model.description, "model.description", convert.MAX_DESCRIPTION),
        "tags": convert.pairs(model.tags, "model.tags"),
    }

"""Models and objectives between proto and domain."""

from chassis.etags import etag_of
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, check_segment
from headwater.registry.v1 import models_pb2
from services.registry import convert
from services.registry.models.model import Comparison, Model, NewObjective, Objective, Stage

_Stage = artifact_pb2.ModelMetadata.Stage


def new_model(request: models_pb2.CreateModelRequest, project: str) -> tuple[ModelName, str, str]:
    """Name, display name and description of the model to be, checked."""
    convert.refuse_other_fields(request.model, ("display_name", "description"), "model")
    return (
        ModelName(project, check_segment(request.model_id, "model_id")),
        convert.text(request.model.display_name, "model.display_name", convert.MAX_DISPLAY_NAME),
        convert.text(request.model.description, "model.description", convert.MAX_DESCRIPTION),
    )


def model_to_proto(model: Model) -> models_pb2.Model:
    """The model as a message."""
    return models_pb2.Model(
        name=str(model.name),
        uid=model.id,
        display_name=model.display_name,
        description=model.description,
        aliases={alias: str(version) for alias, version in model.aliases.items()},
        stages={stage.name.lower(): str(version) for stage, version in model.stages.items()},
        latest_version=str(model.latest_version) if model.latest_version else "",
        latest_semantic_version=str(model.latest_semantic_version or ""),
        create_time=convert.timestamp(model.create_time),
        created_by=model.created_by,
        etag=etag_of(model.revision),
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

"""Deployments between protobuf and the domain."""

from collections.abc import Sequence

from headwater.artifact.v1 import artifact_pb2
from headwater.inference.v1 import deployments_pb2
from headwater.names import ModelName, check_segment, check_version
from services.inference.deployments.errors import InvalidDeployment
from services.inference.deployments.model import (
    DEFAULT_MAX_BATCH_ROWS,
    DEFAULT_MAX_QUEUE_REQUESTS,
    Batching,
    Deployment,
    State,
    Status,
)
from services.inference.models.source import Selector, SelectorKind

_Stage = artifact_pb2.ModelMetadata.Stage
_FOLLOWED_STAGES = {_Stage.STAGE_STAGING: "staging", _Stage.STAGE_PRODUCTION: "production"}
_STAGES = {name: stage for stage, name in _FOLLOWED_STAGES.items()}
_State = deployments_pb2.Deployment.State
_STATES = {
    State.WAITING: _State.STATE_WAITING,
    State.READY: _State.STATE_READY,
    State.FAILED: _State.STATE_FAILED,
}
_SELECTOR_PATHS = {"selector", "stage", "alias", "version"}
_BATCHING_PATH = "batching"


def model_from_proto(deployment: deployments_pb2.Deployment) -> ModelName:
    """The model that is to be served."""
    return ModelName.parse(deployment.model, "deployment.model")


def selector_from_proto(deployment: deployments_pb2.Deployment) -> Selector:
    """Which version is to be served.

    Raises:
        InvalidDeployment: none is chosen, or a stage that at most one version holds is not named.
        InvalidName: the alias or the version is no such name.
    """
    match deployment.WhichOneof("selector"):
        case "stage":
            if deployment.stage not in _FOLLOWED_STAGES:
                raise InvalidDeployment("The stage must be staging or production.", field="deployment.stage")
            return Selector(SelectorKind.STAGE, _FOLLOWED_STAGES[deployment.stage])
        case "alias":
            return Selector(SelectorKind.ALIAS, check_segment(deployment.alias, "deployment.alias"))
        case "version":
            return Selector(SelectorKind.VERSION, check_version(deployment.version, "deployment.version"))
    raise InvalidDeployment("One of stage, alias and version must be given.", field="deployment.selector")


def batching_from_proto(batching: deployments_pb2.Batching) -> Batching:
    """How requests are to be batched; 0 stands for the default."""
    return Batching(
        batching.max_batch_size or DEFAULT_MAX_BATCH_ROWS, batching.max_queue_size or DEFAULT_MAX_QUEUE_REQUESTS
    )


def changes_from_proto(
    deployment: deployments_pb2.Deployment, paths: Sequence[str]
) -> tuple[Selector | None, Batching | None]:
    """The new values of what an update names; no path names everything that can change.

    Raises:
        InvalidDeployment: a path names something that cannot change.
    """
    for path in paths:
        if path not in _SELECTOR_PATHS and path != _BATCHING_PATH:
            raise InvalidDeployment("Only selector and batching can be changed.", field="update_mask", path=path)
    selector = selector_from_proto(deployment) if not paths or _SELECTOR_PATHS.intersection(paths) else None
    batching = batching_from_proto(deployment.batching) if not paths or _BATCHING_PATH in paths else None
    return selector, batching


def deployment_to_proto(deployment: Deployment, status: Status) -> deployments_pb2.Deployment:
    """The deployment as the API shows it, with what this process serves for it."""
    message = deployments_pb2.Deployment(
        name=str(deployment.name),
        uid=deployment.uid,
        model=str(deployment.model),
        batching=deployments_pb2.Batching(
            max_batch_size=deployment.batching.max_batch_rows, max_queue_size=deployment.batching.max_queue_requests
        ),
        created_by=deployment.created_by,
        etag=deployment.etag,
    )
    match deployment.selector.kind:
        case SelectorKind.STAGE:
            message.stage = _STAGES[deployment.selector.value]
        case SelectorKind.ALIAS:
            message.alias = deployment.selector.value
        case SelectorKind.VERSION:
            message.version = deployment.selector.value
    message.create_time.FromDatetime(deployment.create_time)
    message.update_time.FromDatetime(deployment.update_time)
    if deployment.archive_time is not None:
        message.state = _State.STATE_ARCHIVED
        return message
    message.state = _STATES[status.state]
    message.model_version = status.model_version
    message.model_digest = status.model_digest
    message.failure = status.failure
    message.warning = status.warning
    return message

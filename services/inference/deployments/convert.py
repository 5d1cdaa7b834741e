"""Deployments between protobuf and the domain."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from headwater.inference.v1 import deployments_pb2
from headwater.names import ModelName
from services.inference.batching.convert import batching_from_proto, batching_to_proto
from services.inference.cache.convert import caching_from_proto, caching_to_proto
from services.inference.deployments.errors import InvalidDeployment
from services.inference.deployments.model import Deployment, State, Status
from services.inference.deployments.options import Options
from services.inference.drift.convert import drift_from_proto, drift_to_proto
from services.inference.engines.convert import engine_from_proto, engine_to_proto
from services.inference.guard.convert import guard_from_proto, guard_to_proto
from services.inference.models.convert import selector_from_proto, selector_into_proto
from services.inference.models.source import Selector
from services.inference.preparing.convert import preparing_from_proto, preparing_to_proto
from services.inference.records.convert import recording_from_proto, recording_to_proto
from services.inference.traffic.convert import routing_from_proto, routing_to_proto

_State = deployments_pb2.Deployment.State
_STATES = {
    State.WAITING: _State.STATE_WAITING,
    State.READY: _State.STATE_READY,
    State.FAILED: _State.STATE_FAILED,
    State.ROLLED_BACK: _State.STATE_ROLLED_BACK,
    State.UNLOADED: _State.STATE_UNLOADED,
}
_SELECTOR_PATHS = {"selector", "stage", "alias", "version"}


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """How one part of a deployment's options goes in and out of its message."""

    from_proto: Callable[[Any], Any]
    to_proto: Callable[[Any], Message | bool]


PARTS: Mapping[str, Part] = {
    "batching": Part(batching_from_proto, batching_to_proto),
    "engine": Part(engine_from_proto, engine_to_proto),
    "preparing": Part(preparing_from_proto, preparing_to_proto),
    "routing": Part(routing_from_proto, routing_to_proto),
    "guard": Part(guard_from_proto, guard_to_proto),
    "recording": Part(recording_from_proto, recording_to_proto),
    "drift": Part(drift_from_proto, drift_to_proto),
    "cache": Part(caching_from_proto, caching_to_proto),
    "unloaded": Part(bool, bool),
}
"""By the name that the part has in the proto's Deployment, in Options and in update masks."""


def model_from_proto(deployment: deployments_pb2.Deployment) -> ModelName:
    """The model that is to be served."""
    return ModelName.parse(deployment.model, "deployment.model")


def options_from_proto(deployment: deployments_pb2.Deployment) -> Options:
    """All parts as they are given; what is not given has its default."""
    return Options(**{name: part.from_proto(getattr(deployment, name)) for name, part in PARTS.items()})


def changes_from_proto(
    deployment: deployments_pb2.Deployment, paths: Sequence[str]
) -> tuple[Selector | None, Mapping[str, Any]]:
    """The new values of what an update names, the options by their names; no path names everything that can change.

    Raises:
        InvalidDeployment: a path names something that cannot change.
    """
    for path in paths:
        if path not in _SELECTOR_PATHS and path not in PARTS:
            changeable = ", ".join(["selector", *PARTS])
            raise InvalidDeployment(f"What can be changed is: {changeable}.", field="update_mask", path=path)
    selected = not paths or _SELECTOR_PATHS.intersection(paths)
    selector = selector_from_proto(deployment, "deployment") if selected else None
    named = paths or list(PARTS)
    return selector, {path: PARTS[path].from_proto(getattr(deployment, path)) for path in named if path in PARTS}


def deployment_to_proto(deployment: Deployment, status: Status) -> deployments_pb2.Deployment:
    """The deployment as the API shows it, with what this process serves for it."""
    message = deployments_pb2.Deployment(
        name=str(deployment.name),
        uid=deployment.uid,
        model=str(deployment.model),
        created_by=deployment.created_by,
        etag=deployment.etag,
    )
    for name, part in PARTS.items():
        shown = part.to_proto(getattr(deployment.options, name))
        if isinstance(shown, Message):
            getattr(message, name).CopyFrom(shown)
        else:
            setattr(message, name, shown)
    selector_into_proto(deployment.selector, message)
    message.create_time.FromDatetime(deployment.create_time)
    message.update_time.FromDatetime(deployment.update_time)
    if deployment.archive_time is not None:
        message.state = _State.STATE_ARCHIVED
        return message
    message.state = _STATES[status.state]
    message.model_version = status.model_version
    message.model_digest = status.model_digest
    message.failure = status.why
    message.warning = status.warning
    return message

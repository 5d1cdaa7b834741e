"""Which version of a model is meant, between protobuf and the domain."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import check_segment, check_version
from services.inference.deployments.errors import InvalidDeployment
from services.inference.models.source import Selector, SelectorKind

_Stage = artifact_pb2.ModelMetadata.Stage
_FOLLOWED_STAGES = {_Stage.STAGE_STAGING: "staging", _Stage.STAGE_PRODUCTION: "production"}
_STAGES = {name: stage for stage, name in _FOLLOWED_STAGES.items()}


def selector_from_proto(message: Any, field: str) -> Selector:
    """The selector that one of the fields stage, alias and version of ``message`` gives; ``field`` is where it is.

    Raises:
        InvalidDeployment: none is given, or a stage that at most one version holds is not named.
        InvalidName: the alias or the version is no such name.
    """
    for kind in ("stage", "alias", "version"):
        if not message.HasField(kind):
            continue
        value, where = getattr(message, kind), f"{field}.{kind}"
        if kind == "alias":
            return Selector(SelectorKind.ALIAS, check_segment(value, where))
        if kind == "version":
            return Selector(SelectorKind.VERSION, check_version(value, where))
        if value not in _FOLLOWED_STAGES:
            raise InvalidDeployment("The stage must be staging or production.", field=where)
        return Selector(SelectorKind.STAGE, _FOLLOWED_STAGES[value])
    raise InvalidDeployment("One of stage, alias and version must be given.", field=f"{field}.selector")


def selector_into_proto(selector: Selector, message: Any) -> None:
    """Set the field of ``message`` that says the same."""
    is_stage = selector.kind is SelectorKind.STAGE
    setattr(message, selector.kind.value, _STAGES[selector.value] if is_stage else selector.value)

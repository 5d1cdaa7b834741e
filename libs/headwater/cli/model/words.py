"""How models and versions are written on a screen."""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import cyclopts

from headwater.artifact.v1 import artifact_pb2
from headwater.errors import InvalidArgument
from headwater.registry.v1 import models_pb2

Several: TypeAlias = Annotated[tuple[str, ...], cyclopts.Parameter(negative="", consume_multiple=False)]
"""An option that may be given several times."""
_Format = artifact_pb2.ModelFile.Format


def stage(value: artifact_pb2.ModelMetadata.Stage.ValueType) -> str:
    """``production``."""
    return artifact_pb2.ModelMetadata.Stage.Name(value).removeprefix("STAGE_").lower()


def state(value: artifact_pb2.ModelMetadata.State.ValueType) -> str:
    """``deprecated``."""
    return artifact_pb2.ModelMetadata.State.Name(value).removeprefix("STATE_").lower()


def format_(value: artifact_pb2.ModelFile.Format.ValueType) -> str:
    """``safetensors``; of a registry of a later release, perhaps only its number."""
    name = _Format.Name(value) if value in _Format.values() else str(value)
    return name.removeprefix("FORMAT_").lower().replace("unspecified", "not recognised")


def tensor(value: artifact_pb2.TensorSpec) -> str:
    """``x FP32[-1, 4]``."""
    return f"{value.name} {value.datatype}[{shape(value)}]"


def shape(value: artifact_pb2.TensorSpec) -> str:
    """``-1, 4``."""
    return ", ".join(map(str, value.shape))


def model_state(model: models_pb2.Model) -> str:
    """``deprecated: use numbers``, ``archived: was digits``."""
    name = models_pb2.Model.State.Name(model.state).removeprefix("STATE_").lower()
    if model.state == models_pb2.Model.STATE_ARCHIVED:
        return f"{name}: was {model.model_id}"
    return f"{name}: use {model.replacement.rpartition('/')[2]}" if model.replacement else name


def points_to(model: models_pb2.Model) -> str:
    """``production → 3, champion → 2``: its stages, then its aliases."""
    pointers = [*sorted(model.stages.items()), *sorted(model.aliases.items())]
    return ", ".join(f"{pointer} → {version}" for pointer, version in pointers)


def pairs(texts: Sequence[str], field: str) -> dict[str, str]:
    """``key=value`` texts as a mapping."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise InvalidArgument(f"{field} must look like key=value; {text!r} does not.", field=field)
        pairs[key] = value
    return pairs

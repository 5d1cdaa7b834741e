"""What a job may ask for, as far as the request alone tells."""

import json
import math
from collections.abc import Mapping
from typing import Any

from headwater.names import ArtifactName, DatasetVersionName, ModelName, check_segment
from services.training_scheduler.errors import InvalidSpec
from services.training_scheduler.jobs.model import TrainingSpec

MAX_PARAMETERS_BYTES = 256 * 1024
_MAX_DEPTH = 20


def check(spec: TrainingSpec, project: str) -> None:
    """Return if the job could run.

    Raises:
        InvalidName: a resource name that is none.
        InvalidSpec: naming the field.
    """
    DatasetVersionName.parse(spec.dataset_version, "spec.dataset_version")
    if spec.dataset_checkpoint:
        check_segment(spec.dataset_checkpoint, "spec.dataset_checkpoint")
    ArtifactName.parse(spec.code, "spec.code")
    if spec.model and ModelName.parse(spec.model, "spec.model").project != project:
        raise InvalidSpec(f"The model must be in the job's project, {project}.", field="spec.model")
    _check_command(spec.command)
    _check_parameters(spec.parameters)
    resources = spec.resources
    for field in ("cpus", "memory_bytes", "gpus"):
        value = getattr(resources, field)
        if not math.isfinite(value) or value < 0:
            raise InvalidSpec(f"{field} must be a number that is not negative.", field=f"spec.resources.{field}")


def _check_command(command: tuple[str, ...]) -> None:
    if not command or not command[0]:
        raise InvalidSpec("The command must name what to run.", field="spec.command")
    if any("\0" in word or "\n" in word for word in command):
        raise InvalidSpec("A word of the command must not hold a NUL or a line break.", field="spec.command")
    if command[0].startswith("/") or ".." in command[0].split("/"):
        raise InvalidSpec("The command must be a program's name or a path within the code.", field="spec.command")


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    for key, value in parameters.items():
        if not 1 <= len(key) <= 255:
            raise InvalidSpec("A parameter's name must have 1 to 255 characters.", field="spec.parameters")
        _check_value(key, f"spec.parameters.{key}", 0)
        _check_value(value, f"spec.parameters.{key}", 0)
    if len(json.dumps(dict(parameters))) > MAX_PARAMETERS_BYTES:
        raise InvalidSpec(f"The parameters are larger than {MAX_PARAMETERS_BYTES} bytes.", field="spec.parameters")


def _check_value(value: Any, field: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidSpec(f"A parameter is nested deeper than {_MAX_DEPTH} levels.", field=field)
    match value:
        case str() if "\0" in value:
            raise InvalidSpec("A parameter must not hold a NUL.", field=field)
        case float() if not math.isfinite(value):
            raise InvalidSpec("A parameter must be a finite number.", field=field)
        case dict():
            for key, item in value.items():
                _check_value(key, field, depth + 1)
                _check_value(item, field, depth + 1)
        case list():
            for item in value:
                _check_value(item, field, depth + 1)

"""A pipeline document → its definition, or every fault it has (R-36, R-43; X-05, X-06, X-10, X-11).

A document is JSON or YAML: ``id, name, version, description, steps[{id, step_type, config, cache}], metadata``.
"""

from collections.abc import Iterator
from typing import Any, Final

import pydantic

from headwater import names
from headwater.errors import HeadwaterError
from headwater.transforms import catalogue, text
from headwater.transforms.errors import PipelineInvalid
from headwater.transforms.model import Definition, Fault, Step

MAX_STEPS: Final = 100
_REQUIRED: Final = ("id", "version", "steps")
_OPTIONAL: Final = ("name", "description", "metadata")
_STEP_KEYS: Final = ("id", "step_type", "config", "cache", "cache_results")


def parse(document: str) -> Definition:
    """The definition that ``document`` holds.

    Raises:
        PipelineInvalid: naming every fault.
    """
    definition, faults = examine(document)
    if definition is None:
        listed = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise PipelineInvalid(f"The pipeline is not valid. {listed}", fault_count=len(faults))
    return definition


def examine(document: str) -> tuple[Definition | None, list[Fault]]:
    """The definition, or None and all faults."""
    try:
        value = text.read(document)
    except text.TextFault as fault:
        return None, [Fault("document", str(fault))]
    if not isinstance(value, dict):
        return None, [Fault("document", "must be an object with id, version and steps")]
    faults = [*_fault_keys(value), *_fault_texts(value)]
    steps, step_faults = _steps(value.get("steps"))
    faults += step_faults
    if faults:
        return None, faults
    definition = Definition(
        pipeline_id=value["id"],
        display_name=value.get("name") or value["id"],
        version=canonical_version(value["version"]),
        description=value.get("description") or "",
        steps=tuple(steps),
        metadata=value.get("metadata") or {},
    )
    return definition, []


def canonical_version(version: str) -> str:
    """``1.0.0``, also for ``v1.0.0`` (K-02).

    Raises:
        InvalidName: it is neither.
    """
    return names.check_version(version).removeprefix("v")


def _fault_keys(value: dict[str, Any]) -> Iterator[Fault]:
    for key in _REQUIRED:
        if key not in value:
            yield Fault(key, "is required")
    for key in value:
        if key not in (*_REQUIRED, *_OPTIONAL):
            yield Fault(str(key), f"unknown; known are {', '.join((*_REQUIRED, *_OPTIONAL))}")


def _fault_texts(value: dict[str, Any]) -> Iterator[Fault]:
    for key, check in (("id", names.check_segment), ("version", canonical_version)):
        if key in value:
            yield from _fault_name(key, value[key], check)
    for key in ("name", "description"):
        if not isinstance(value.get(key, ""), str):
            yield Fault(key, "must be text")
    if not isinstance(value.get("metadata", {}), dict):
        yield Fault("metadata", "must be an object")


def _fault_name(key: str, value: object, check: Any) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield Fault(key, 'must be text (write "1.0", with quotes)' if key == "version" else "must be text")
        return
    try:
        check(value)
    except HeadwaterError as error:
        yield Fault(key, error.message)


def _steps(value: object) -> tuple[list[Step], list[Fault]]:
    if value is None:
        return [], []  # "is required" is said already
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEPS:
        return [], [Fault("steps", f"must be a list of 1 to {MAX_STEPS} steps")]
    steps: list[Step] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for index, raw in enumerate(value):
        path = f"steps[{index}]"
        step, step_faults = _step(path, raw)
        faults += step_faults
        if step is not None:
            if step.id in seen:
                faults.append(Fault(f"{path}.id", f"{step.id!r} is the id of steps[{seen[step.id]}] too"))
            seen.setdefault(step.id, index)
            steps.append(step)
    if not faults:
        faults += catalogue.order_faults(steps)
    return steps, faults


def _step(path: str, raw: object) -> tuple[Step | None, list[Fault]]:
    if not isinstance(raw, dict):
        return None, [Fault(path, "must be an object with id and step_type")]
    faults = [
        Fault(f"{path}.{key}", f"unknown; known are {', '.join(_STEP_KEYS[:4])}")
        for key in raw
        if key not in _STEP_KEYS
    ]
    faults += [
        Fault(f"{path}.{key}", "is required and must be text")
        for key in ("id", "step_type")
        if not isinstance(raw.get(key), str) or not raw[key]
    ]
    cache = raw.get("cache", raw.get("cache_results", False))  # K-04: both names, one meaning
    if not isinstance(cache, bool):
        faults.append(Fault(f"{path}.cache", "must be true or false"))
    if faults:
        return None, faults
    config, faults = _config(path, raw["step_type"], raw.get("config", {}))
    return (None if config is None else Step(raw["id"], raw["step_type"], config, cache is True)), faults


def _config(path: str, step_type: str, raw: object) -> tuple[dict[str, Any] | None, list[Fault]]:
    if step_type not in catalogue.STEP_TYPES:
        known = ", ".join(sorted(catalogue.STEP_TYPES))
        return None, [Fault(f"{path}.step_type", f"no step type {step_type!r}; there are {known}")]
    if not isinstance(raw, dict):
        return None, [Fault(f"{path}.config", "must be an object")]
    try:
        config = catalogue.STEP_TYPES[step_type].config.model_validate(raw)
    except pydantic.ValidationError as error:
        return None, [
            Fault(".".join((path, "config", *map(str, fault["loc"]))), fault["msg"])
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    return config.model_dump(mode="json"), []

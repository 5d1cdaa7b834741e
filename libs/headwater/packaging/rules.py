"""What must hold within a document beyond each field's own rule, and what is read as something else, by its kind."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from headwater.packaging import plugins, spelling
from headwater.packaging.description import ModelDescription
from headwater.packaging.experiment import ExperimentRecord, Metric
from headwater.packaging.model import ModelPackage
from headwater.packaging.package_rules import PackageRules
from headwater.packaging.reader import Reader
from headwater.packaging.recipe import DataProcess, TrainingRecipe
from headwater.packaging.remarks import nearest

T = TypeVar("T")


def settle(document: T, reader: Reader) -> T:
    """The document as it is meant; what is wrong with it is noted by ``reader``."""
    match document:
        case ModelPackage():
            PackageRules(document, reader).check()
            if document.score:
                score = dataclasses.replace(
                    document.score, metrics=_latency(document.score.metrics, "score.metrics", reader)
                )
                return dataclasses.replace(document, score=score)
        case ModelDescription() if document.metadata:
            metrics = _latency(document.metadata.metrics, "metadata.metrics", reader)
            return dataclasses.replace(document, metadata=dataclasses.replace(document.metadata, metrics=metrics))
        case ExperimentRecord():
            _keys_once(document, reader)
            metrics_read = tuple(_metric(metric, at, reader) for at, metric in enumerate(document.metrics))
            return dataclasses.replace(document, metrics=metrics_read)
        case TrainingRecipe() if document.data_process:
            _plugin_options(document.data_process, reader)
    return document


def _plugin_options(process: DataProcess, reader: Reader) -> None:
    for path, message in plugins.check(process):
        reader.error(path, message, nearest(reader.places, path))
    if process.options and not process.type:
        path = "data_process.type"
        message = f"is not said, so that {', '.join(process.options)} cannot be checked: {' or '.join(plugins.PLUGINS)}"
        reader.warn(path, message, nearest(reader.places, path))


def _latency(metrics: Mapping[str, Any], path: str, reader: Reader) -> Mapping[str, Any]:
    """All names of the milliseconds of an answer become one (K-14)."""
    renamed: dict[str, Any] = {}
    for key, value in metrics.items():
        name = spelling.LATENCY if key in spelling.LATENCIES else key
        at = nearest(reader.places, f"{path}.{key}")
        if name in renamed:
            reader.error(f"{path}.{key}", f"is {name}, which is there twice", at)
        if name != key:
            reader.warn(f"{path}.{key}", f"is written {name}, in milliseconds", at)
        renamed[name] = value
    return renamed


def _keys_once(record: ExperimentRecord, reader: Reader) -> None:
    """Of two with the same key the run would keep one."""
    for name in ("hyperparameters", "artifacts", "datasets", "metrics", "tags", "properties"):
        keys = [each.key for each in getattr(record, name)]
        for at, key in enumerate(keys):
            if key in keys[:at]:
                path = f"{name}[{at}].key"
                reader.error(path, f"is {key}, which is there twice", nearest(reader.places, path))


def _metric(metric: Metric, at: int, reader: Reader) -> Metric:
    """Its type is told by its value where the document does not tell; ``NUMBER`` is a scalar (K-13)."""
    kind = "scalar" if metric.value_type == "NUMBER" else metric.value_type or _kind_of(metric.value)
    path = f"metrics[{at}].value"
    value = metric.value
    if value is None:
        return metric  # that it is not there has been said
    if kind == "scalar":
        value = _float(value)
        if value is None:
            shown = json.dumps(metric.value)[:100]
            reader.error(path, f"is {shown} and must be a number", nearest(reader.places, path))
    elif not isinstance(value, list if kind == "array" else dict):
        wanted = "a list" if kind == "array" else "a mapping"
        reader.error(path, f"must be {wanted}, as its value_type says", nearest(reader.places, path))
    return dataclasses.replace(metric, value_type=kind, value=value)


def _kind_of(value: Any) -> str:
    return "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "scalar"


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None

"""The metadata of a version as the JSON document that people exchange (R-18).

The first ten keys are exactly those of the exchange format; what Headwater adds is under ``headwater``.
"""

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from services.registry.formats import Format, Tensor
from services.registry.values import Json
from services.registry.versions.completeness import missing_metadata
from services.registry.versions.model import ModelVersion
from services.registry.versions.options import conversions, deployment_targets

_FORMATS = {
    Format.PYTORCH: "PyTorch",
    Format.PYTORCH_LEGACY: "PyTorch",
    Format.TORCHSCRIPT: "TorchScript",
    Format.TORCH_EXPORT: "torch.export",
    Format.SAFETENSORS: "Safetensors",
    Format.SAFETENSORS_INDEX: "Safetensors",
    Format.ONNX: "ONNX",
    Format.TENSORFLOW_SAVED_MODEL: "TensorFlow SavedModel",
    Format.TENSORFLOW_VARIABLES: "TensorFlow",
    Format.KERAS: "Keras",
    Format.HDF5: "HDF5",
    Format.GGUF: "GGUF",
    Format.XGBOOST: "XGBoost",
    Format.LIGHTGBM: "LightGBM",
    Format.HUGGING_FACE_CONFIG: "Hugging Face",
    Format.HUGGING_FACE: "Hugging Face",
    Format.PICKLE: "pickle",
    Format.TAR: "tar",
    Format.ZIP: "zip",
}
_DTYPES = {
    "FP64": "float64",
    "FP32": "float32",
    "FP16": "float16",
    "BF16": "bfloat16",
    "BOOL": "bool",
    "BYTES": "string",
}


def document_of(version: ModelVersion, training_script: str) -> str:
    """The document; ``training_script`` is the code that the version's run executed, empty where nobody knows it."""
    return json.dumps(_document(version, training_script), ensure_ascii=False, allow_nan=False, indent=2)


def _document(version: ModelVersion, training_script: str) -> dict[str, Any]:
    said = version.user_metadata
    return {
        "model_id": version.known_as,
        "version": str(version.semantic_version or version.version),
        "format": _FORMATS.get(version.format),
        "framework": version.framework_name or None,
        "architecture": version.architecture or None,
        "parameters": version.parameter_count or said.get("params"),
        "tensor_info": {
            "input_shape": _shape(version.inputs),
            "output_shape": _shape(version.outputs),
            "dtypes": _dtypes(version),
        },
        "provenance": {
            "training_dataset": _training_dataset(version),
            "training_script": said.get("training_script") or training_script or None,
            "hyperparameters": _plain(version.hyperparameters),
        },
        "stage": version.stage.name.capitalize(),
        "created_at": version.create_time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "headwater": _more(version),
    }


def _more(version: ModelVersion) -> dict[str, Any]:
    """What the exchange format has no key for."""
    return {
        "name": str(version.name),
        "digest": version.digest,
        "semantic_version": str(version.semantic_version or "") or None,
        "framework_version": version.framework_version or None,
        "task": version.task or None,
        "description": version.description or None,
        "tags": list(version.tags),
        "annotations": dict(version.annotations),
        "aliases": list(version.aliases),
        "state": version.state.name.lower(),
        "replacement": version.replacement or None,
        "size_bytes": version.size_bytes,
        "files": [
            {
                "path": file.path,
                "digest": file.digest,
                "size_bytes": file.size_bytes,
                "format": _FORMATS.get(file.format),
                "tensors": len(file.facts.tensors),
            }
            for file in version.files
        ],
        "inputs": [_tensor(tensor) for tensor in version.inputs],
        "outputs": [_tensor(tensor) for tensor in version.outputs],
        "metrics": {key: _number(value) for key, value in version.metrics.items()},
        "user_metadata": _plain(version.user_metadata),
        "run": version.run or None,
        "dataset_versions": list(version.dataset_versions),
        "pipeline_versions": list(version.pipeline_versions),
        "preprocessing": dataclasses.asdict(version.preprocessing) if version.preprocessing else None,
        "created_by": version.created_by,
        "missing_metadata": list(missing_metadata(version)),
        "dangling_links": list(version.dangling_links),
        "problems": list(version.problems),
        "breaking_changes": list(version.breaking_changes),
        "conversions": [dataclasses.asdict(option) for option in conversions(version)],
        "deployment_targets": [dataclasses.asdict(option) for option in deployment_targets(version)],
    }


def _shape(tensors: Sequence[Tensor]) -> list[int] | None:
    """Of the first of them, with -1 for what varies: the exchange format has place for one."""
    return list(tensors[0].shape) if tensors else None


def _dtypes(version: ModelVersion) -> list[str]:
    """Those of the weights; of inputs and outputs where no weight is told."""
    weights = [tensor for file in version.files for tensor in file.facts.tensors]
    return sorted({_dtype(tensor.datatype) for tensor in weights or [*version.inputs, *version.outputs]})


def _dtype(datatype: str) -> str:
    """``float32`` for ``FP32``, ``int64`` for ``INT64``."""
    return _DTYPES.get(datatype, datatype.lower())


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": _dtype(tensor.datatype), "shape": list(tensor.shape)}


def _training_dataset(version: ModelVersion) -> Json:
    """As its maker named it, or else what it is linked to: ``imagenet@v1.0.0``."""
    said = version.user_metadata.get("training_dataset") or version.user_metadata.get("dataset")
    if said or not version.dataset_versions:
        return said or None
    _, _, _, dataset, _, number = version.dataset_versions[0].split("/")
    return f"{dataset}@{number}"


def _plain(values: Mapping[str, Json]) -> dict[str, Json]:
    return {key: _whole(value) for key, value in values.items()}


def _whole(value: Json) -> Json:
    """A number without a fraction is written without one: 32, not 32.0."""
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _number(value: float) -> float | str:
    """JSON has no NaN and no infinity: they are texts, as in protobuf's JSON."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

"""What can be made of a version, and where it can be served: answered from its format and its files (M-80).

Headwater converts and serves what says so; what others do is as their own pages have it, and conditions are what no
file tells.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from services.registry.formats import FileFacts, Format
from services.registry.states import State
from services.registry.versions.model import ModelVersion


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be done.

    Attributes:
        target: a format for conversions, a platform for deployment.
        by: what does it.
        condition: what must hold as well; empty for nothing.
    """

    target: str
    by: str
    condition: str = ""


_OURS = "headwater package convert"
_WITH_CODE = "with the code of its architecture"
_KNOWN = "if its architecture is one that {} knows"
_DESCRIBED = "with engine.inputs"
_BUILT = "with engine.architecture and engine.inputs"

CONVERSIONS: Mapping[Format, Sequence[Option]] = {
    Format.TORCHSCRIPT: [Option("onnx", _OURS)],
    Format.TORCH_EXPORT: [Option("onnx", _OURS)],
    Format.TENSORFLOW_SAVED_MODEL: [Option("onnx", "tf2onnx"), Option("tflite", "tf.lite.TFLiteConverter")],
    Format.KERAS: [Option("onnx", "tf2onnx"), Option("tensorflow_saved_model", "keras.Model.export")],
    Format.XGBOOST: [Option("onnx", "onnxmltools")],
    Format.LIGHTGBM: [Option("onnx", "onnxmltools")],
    Format.HUGGING_FACE: [
        Option("onnx", "optimum", _KNOWN.format("optimum")),
        Option("gguf", "llama.cpp", _KNOWN.format("llama.cpp")),
    ],
    Format.SAFETENSORS: [Option("onnx", "torch.onnx", _WITH_CODE), Option("torch_export", "torch.export", _WITH_CODE)],
    Format.PYTORCH: [
        Option("safetensors", "safetensors.torch"),
        Option("onnx", "torch.onnx", _WITH_CODE),
        Option("torch_export", "torch.export", _WITH_CODE),
    ],
    Format.PYTORCH_LEGACY: [Option("safetensors", "safetensors.torch"), Option("onnx", "torch.onnx", _WITH_CODE)],
    Format.ONNX: [Option("tensorrt", "trtexec"), Option("openvino", "ovc")],
}
DEPLOYMENTS: Mapping[Format, Sequence[Option]] = {
    Format.ONNX: [
        Option("headwater", "ONNX Runtime"),
        Option("triton", "ONNX Runtime"),
        Option("kserve", "Triton"),
        Option("seldon", "Triton"),
    ],
    Format.TORCHSCRIPT: [
        Option("headwater", "PyTorch", _DESCRIBED),
        Option("triton", "PyTorch"),
        Option("kserve", "Triton"),
        Option("seldon", "Triton"),
    ],
    Format.TORCH_EXPORT: [Option("headwater", "PyTorch")],
    Format.SAFETENSORS: [Option("headwater", "PyTorch", _BUILT)],
    Format.PYTORCH: [Option("headwater", "PyTorch", _BUILT)],
    Format.TENSORFLOW_SAVED_MODEL: [Option("tensorflow-serving", "TensorFlow"), Option("kserve", "TensorFlow Serving")],
    Format.XGBOOST: [
        Option("headwater", "XGBoost"),
        Option("triton", "FIL"),
        Option("kserve", "XGBoost"),
        Option("seldon", "MLServer"),
    ],
    Format.LIGHTGBM: [
        Option("headwater", "LightGBM"),
        Option("triton", "FIL"),
        Option("kserve", "LightGBM"),
        Option("seldon", "MLServer"),
    ],
    Format.HUGGING_FACE: [
        Option("kserve", "Hugging Face", _KNOWN.format("transformers")),
        Option("vllm", "vLLM", _KNOWN.format("vLLM")),
    ],
    Format.GGUF: [Option("llama.cpp", "llama-server"), Option("ollama", "llama.cpp")],
}
_CONVERTED = "once it is converted to onnx"
_INSIDE = "once its tensors are stored inside the file"
_OPERATORS = "with a library of its operators"
_TRUSTED = "if the code that it brings is trusted"


def conversions(version: ModelVersion) -> Sequence[Option]:
    """What the version, whose view is FULL, can become. Nothing of what may not be loaded or used any more."""
    if not _usable(version):
        return []
    return [_trusting(version, option) for option in CONVERSIONS.get(version.format, [])]


def deployment_targets(version: ModelVersion) -> Sequence[Option]:
    """Where the version, whose view is FULL, can be served. Nowhere, if it may not be loaded or used any more."""
    if not _usable(version):
        return []
    options = DEPLOYMENTS.get(version.format, [])
    if version.format is Format.ONNX:
        facts = _main(version)
        return [placed for option in options if (placed := _of_onnx(option, facts)) is not None]
    converted = any(option.target == "onnx" for option in CONVERSIONS.get(version.format, []))
    as_it_is = any(option.target == "headwater" for option in options)
    here = [Option("headwater", "ONNX Runtime", _CONVERTED)] if converted and not as_it_is else []
    return [*here, *(_trusting(version, option) for option in options)]


def _usable(version: ModelVersion) -> bool:
    return not version.problems and State.ARCHIVED not in (version.state, version.model_state)


def _main(version: ModelVersion) -> FileFacts:
    """What the file says that stands for the version."""
    return next(file.facts for file in version.files if file.digest == version.primary_digest)


def _of_onnx(option: Option, facts: FileFacts) -> Option | None:
    """None where it cannot be: Headwater loads no operators and no other files that a model brings."""
    here = option.target == "headwater"
    if facts.code:  # operators that neither ONNX nor the model itself defines
        return None if here else dataclasses.replace(option, condition=_OPERATORS)
    return dataclasses.replace(option, condition=_INSIDE) if here and facts.external else option


def _trusting(version: ModelVersion, option: Option) -> Option:
    """A Hugging Face model may bring the code of its architecture."""
    brings = version.format is Format.HUGGING_FACE and any(file.facts.code for file in version.files)
    condition = ", and ".join(filter(None, (option.condition, _TRUSTED)))
    return dataclasses.replace(option, condition=condition) if brings else option

"""ONNX files, run here to record what they answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from headwater.parity.arrays import as_tensor
from headwater.parity.errors import ParityInvalid, RuntimeMissing
from headwater.tensors import Tensor
from headwater.transforms.feeding import Input

_DATATYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
    **{f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class OnnxModel:
    """A session of ONNX Runtime on the CPU. See recording.Model."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeMissing(
                "Samples are run with ONNX Runtime: pip install onnxruntime, or give the outputs yourself."
            ) from error
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises several types that share no base class
            raise ParityInvalid(f"{path.name}: ONNX Runtime cannot load it.", path=path.name) from error
        self.inputs: Sequence[Input] = [_input(each) for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]

    def predict(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """See recording.Model.

        Raises:
            ParityInvalid: the model does not take these.
        """
        feeds = {tensor.name: _fed(tensor) for tensor in inputs}
        try:
            arrays = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise ParityInvalid(f"The model cannot answer a sample: {error}") from error
        return [as_tensor(name, np.asarray(array)) for name, array in zip(self._outputs, arrays, strict=True)]


def _input(told: Any) -> Input:
    if told.type not in _DATATYPES:
        raise ParityInvalid(f"{told.name!r} is of type {told.type}; give the outputs yourself.", field=told.name)
    shape = tuple(size if isinstance(size, int) else -1 for size in told.shape)
    return Input(told.name, _DATATYPES[told.type], shape)


def _fed(tensor: Tensor) -> Any:
    if tensor.datatype != "BYTES":
        return tensor.array
    texts = np.empty(tensor.array.shape, np.object_)
    texts.flat[:] = [element.decode() for element in tensor.array.flat]
    return texts

"""A PyTorch module behind the Engine interface, whatever it was loaded from."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from services.inference.engines.engine import (
    DeviceUnavailable,
    Engine,
    EngineFailed,
    EngineOutOfMemory,
    OptionRefused,
)
from services.inference.engines.options import EngineOptions, Precision
from services.inference.engines.pytorch.tensors import DATATYPES, TYPES, to_numpy, to_torch
from services.inference.tensors.model import Array, Signature

Call: TypeAlias = Callable[[Sequence[torch.Tensor]], Any]
"""A model called with its inputs in the order of the signature."""

_PRECISIONS = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


class Computing:
    """How a deployment wants a module to be computed, and how much memory of a GPU it may take.

    Raises:
        DeviceUnavailable: there is no such GPU.
        OptionRefused: PyTorch knows no such autocast on this device.
    """

    def __init__(self, options: EngineOptions, memory_bytes: int) -> None:
        self.device = _device(options)
        if self.device.type == "cuda":
            total = torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(memory_bytes / total, 1.0), self.device)
        self.lower = _PRECISIONS.get(options.autocast)
        if options.threads:
            torch.set_num_threads(options.threads)
        if self.lower and not _autocasts(self.device, self.lower):
            raise OptionRefused(f"PyTorch knows no autocast to {options.autocast.value} on {options.device}.")

    def __call__(self, call: Call, inputs: Sequence[torch.Tensor]) -> Any:
        """What the model gives for ``inputs``."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.lower:
                stack.enter_context(torch.autocast(self.device.type, self.lower))
            return call(inputs)


class ModuleEngine(Engine):
    """See Engine. ``platform`` is as Triton names it."""

    def __init__(self, call: Call, signature: Signature, computing: Computing, platform: str) -> None:
        self.signature = signature
        self.platform = platform
        self._call = call
        self._computing = computing
        self._types = [TYPES[spec.datatype] for spec in signature.inputs]

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        device = self._computing.device
        try:
            tensors = [to_torch(array, dtype, device) for array, dtype in zip(inputs, self._types, strict=True)]
            given = named(self._computing(self._call, tensors), [spec.name for spec in self.signature.outputs])
            return [self._output(given[spec.name], spec.datatype) for spec in self.signature.outputs]
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY):
                raise EngineOutOfMemory from error
            raise EngineFailed from error

    def stop(self) -> None:
        """See Engine. PyTorch cannot be stopped: the process is ended when its time is over."""

    def close(self) -> None:
        """See Engine."""
        del self._call

    def _output(self, tensor: torch.Tensor, datatype: str) -> Array:
        if tensor.dtype is self._computing.lower and DATATYPES[tensor.dtype] != datatype:
            tensor = tensor.to(TYPES[datatype])  # as it would be without autocast
        return to_numpy(tensor)


def named(given: Any, names: Sequence[str]) -> Mapping[str, torch.Tensor]:
    """What a model gave, by name: a mapping by its own keys, a sequence or a tensor by ``names``.

    Raises:
        ValueError: it is something else, or not as many as there are names.
    """
    if isinstance(given, Mapping):
        found = {str(key): value for key, value in given.items()}
    else:
        listed = list(given) if isinstance(given, tuple | list) else [given]
        names = names or output_names(len(listed))
        found = dict(zip(names, listed, strict=True))
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"output {name!r} is no tensor but {type(value).__name__}")  # noqa: TRY004 - see above
    return found


def output_names(count: int) -> list[str]:
    """What outputs are called that nobody has named; the registry calls them so, too."""
    return [f"output_{index}" for index in range(count)]


def _device(options: EngineOptions) -> torch.device:
    if not options.on_cuda:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceUnavailable("PyTorch sees no GPU here, or was installed without CUDA.")
    device = torch.device(options.device)
    if (device.index or 0) >= torch.cuda.device_count():
        raise DeviceUnavailable(f"There is no {options.device}: this machine has {torch.cuda.device_count()} GPUs.")
    return device


def _autocasts(device: torch.device, lower: torch.dtype) -> bool:
    with torch.autocast(device.type, lower):
        return torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type) is lower

"""ONNX models, computed by ONNX Runtime on the CPU or, where it was built for that, on a GPU."""

import ctypes
import threading
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import onnxruntime

from headwater.errors import FailedPrecondition
from services.inference.engines.cause import in_words
from services.inference.engines.engine import (
    DeviceUnavailable,
    Engine,
    EngineFailed,
    EngineOutOfMemory,
    ModelRefused,
)
from services.inference.engines.onnx_file import check_onnx
from services.inference.engines.options import CPU
from services.inference.engines.order import Order
from services.inference.tensors.errors import InvalidTensor, shown
from services.inference.tensors.model import Array, Signature, TensorSpec

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_BFLOAT16 = 16  # TensorProto.BFLOAT16
_FATAL = 4  # errors are raised to us as well; written to stderr they would repeat what callers sent
_CUDA = "CUDAExecutionProvider"
_NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "Available memory of", "out of memory")
"""What ONNX Runtime says, in several words of its allocators, when there is no more memory."""


def load(content: bytes, order: Order) -> Engine:
    """See engines.formats."""
    options = order.options
    return OnnxEngine.load(content, threads=options.threads, memory_bytes=order.memory_bytes, device=options.device)


class OnnxEngine(Engine):
    """One session of ONNX Runtime. See Engine."""

    platform = "onnxruntime_onnx"

    def __init__(self, session: Any) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self.signature = Signature(
            tuple(_spec(tensor) for tensor in inputs),
            tuple(_spec(tensor) for tensor in outputs),
            batchable=bool(inputs) and _rows_come_first([*inputs, *outputs]),
        )
        self._session = session
        self._gives_bfloat16 = any(spec.datatype == "BF16" for spec in self.signature.outputs)
        if self._gives_bfloat16 and any(spec.datatype == "BYTES" for spec in self.signature.inputs):
            # The one goes only through OrtValues, the other only past them.
            raise ModelRefused("A model that takes BYTES cannot give BF16: let it cast that to FP32.")
        self._inputs = [spec.name for spec in self.signature.inputs]
        self._outputs = [spec.name for spec in self.signature.outputs]
        self._lock = threading.Lock()
        self._options: Any = None

    @classmethod
    def load(cls, model: bytes, *, threads: int, memory_bytes: int, device: str = CPU) -> Self:
        """The engine for the ONNX file ``model``.

        ``memory_bytes`` bounds what all sessions of this process may allocate together (weights and activations).

        Raises:
            ModelRefused: the file may not be served, or ONNX Runtime cannot.
            DeviceUnavailable: there is no such GPU, or ONNX Runtime was built for none.
        """
        check_onnx(model)
        providers = _providers(device, memory_bytes)
        _arena.limit(memory_bytes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _FATAL
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the cores belong to others too
        try:
            session = onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception as error:
            raise ModelRefused(f"ONNX Runtime cannot load the file: {in_words(error)}.") from error
        if device != CPU and session.get_providers()[0] != _CUDA:  # it has gone on without, and only logged why
            raise DeviceUnavailable(f"ONNX Runtime cannot use {device} of this machine.")
        return cls(session)

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = _FATAL
        with self._lock:
            self._options = options
        try:
            run = self._run_to_bfloat16 if self._gives_bfloat16 else self._run
            return run(inputs, options)
        except InvalidTensor:
            raise
        except Exception as error:  # ONNX Runtime raises several types that share no base class
            if any(words in str(error) for words in _NO_MEMORY):
                raise EngineOutOfMemory from error
            raise EngineFailed from error
        finally:
            with self._lock:
                self._options = None

    def stop(self) -> None:
        """See Engine. ONNX Runtime looks at this between two operators."""
        with self._lock:
            if self._options is not None:
                self._options.terminate = True

    def close(self) -> None:
        """See Engine."""
        del self._session

    def _run(self, inputs: Sequence[Array], options: Any) -> list[Array]:
        feeds = {
            spec.name: _FEEDS[spec.datatype](spec.name, array) if spec.datatype in _FEEDS else array
            for spec, array in zip(self.signature.inputs, inputs, strict=True)
        }
        outputs = self._session.run(self._outputs, feeds, options)
        return [
            _from_text(output) if spec.datatype == "BYTES" else np.ascontiguousarray(output)
            for spec, output in zip(self.signature.outputs, outputs, strict=True)
        ]

    def _run_to_bfloat16(self, inputs: Sequence[Array], options: Any) -> list[Array]:
        """The way through OrtValues: numpy has no bfloat16, so that ``run`` cannot give it."""
        feeds = {
            spec.name: _to_ort_value(spec.name, spec.datatype, array)
            for spec, array in zip(self.signature.inputs, inputs, strict=True)
        }
        outputs = self._session.run_with_ort_values(self._outputs, feeds, options)
        return [
            _from_ort_value(spec.datatype, output) for spec, output in zip(self.signature.outputs, outputs, strict=True)
        ]


def _providers(device: str, memory_bytes: int) -> list[Any]:
    if device == CPU:
        return ["CPUExecutionProvider"]
    if _CUDA not in onnxruntime.get_available_providers():
        raise DeviceUnavailable("ONNX Runtime is installed without CUDA: install onnxruntime-gpu to serve on a GPU.")
    number = int(device.partition(":")[2] or 0)
    return [(_CUDA, {"device_id": number, "gpu_mem_limit": memory_bytes}), "CPUExecutionProvider"]


class _Arena:
    """The memory that all sessions of this process share. ONNX Runtime bounds it once and cannot change it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limit_bytes = 0

    def limit(self, memory_bytes: int) -> None:
        """Let no more than ``memory_bytes`` be allocated.

        Raises:
            FailedPrecondition: this process has another bound already.
        """
        with self._lock:
            if not self._limit_bytes:
                self._register(memory_bytes)
                self._limit_bytes = memory_bytes
            elif self._limit_bytes != memory_bytes:
                raise FailedPrecondition("Engines of this process have another bound.", bytes=self._limit_bytes)

    def _register(self, memory_bytes: int) -> None:
        onnxruntime.set_default_logger_severity(_FATAL)
        info = onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
        )
        # Regions are taken as they are needed (1: SameAsRequested), not doubled; -1 leaves the other defaults.
        bounds = {
            "max_mem": memory_bytes,
            "arena_extend_strategy": 1,
            "initial_chunk_size_bytes": -1,
            "max_dead_bytes_per_chunk": -1,
        }
        onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg(bounds))


_arena = _Arena()


def _spec(tensor: Any) -> TensorSpec:
    datatype = _DATATYPES.get(tensor.type)
    if datatype is None:
        hint = " Convert it with the option zipmap=False." if "map(" in tensor.type else ""  # of skl2onnx
        raise ModelRefused(f"{tensor.name!r} is of type {tensor.type}, which cannot travel as a tensor.{hint}")
    return TensorSpec(tensor.name, datatype, tuple(size if isinstance(size, int) else -1 for size in tensor.shape))


def _rows_come_first(tensors: Sequence[Any]) -> bool:
    """Whether the first dimension of all tensors varies, and under one name; a dimension without a name fits any."""
    first = [tensor.shape[0] if tensor.shape else 1 for tensor in tensors]
    return not any(isinstance(size, int) for size in first) and len({size for size in first if size}) <= 1


def _to_text(name: str, array: Array) -> Array:
    """BYTES as ONNX Runtime takes strings.

    Raises:
        InvalidTensor: one is not UTF-8, as ONNX wants it.
    """
    texts = np.empty(array.shape, np.object_)
    try:
        texts.flat[:] = [element.decode() for element in array.flat]
    except UnicodeDecodeError as error:
        raise InvalidTensor(f"The input {shown(name)} must be text in UTF-8, as the model takes no other.") from error
    return texts


def _from_text(array: Array) -> Array:
    elements = np.empty(array.shape, np.object_)
    elements.flat[:] = [str(element).encode() for element in array.flat]
    return elements


def _from_bfloat16(_name: str, array: Array) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), _BFLOAT16)


def _to_ort_value(name: str, datatype: str, array: Array) -> Any:
    return _from_bfloat16(name, array) if datatype == "BF16" else onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _from_ort_value(datatype: str, value: Any) -> Array:
    if datatype == "BF16":
        shape = value.shape()
        copied = ctypes.string_at(value.data_ptr(), int(np.prod(shape, dtype=np.int64)) * 2)
        return np.frombuffer(copied, np.uint16).reshape(shape)
    array: Array = value.numpy()
    return _from_text(array) if datatype == "BYTES" else array


_FEEDS = {"BYTES": _to_text, "BF16": _from_bfloat16}
"""How ONNX Runtime takes what numpy does not have as it is."""

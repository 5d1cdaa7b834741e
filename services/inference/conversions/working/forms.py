"""One file into another form. Runs only in a worker process."""

import contextlib
import importlib.metadata
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from services.inference.conversions.errors import CannotConvert
from services.inference.conversions.model import Target
from services.inference.conversions.working.source import Source
from services.inference.engines.pytorch.tensors import TYPES, to_torch
from services.inference.tensors.model import Array

MADE_AS = {Target.TORCHSCRIPT: "torchscript", Target.ONNX: "onnx", Target.ONNX_INT8: "onnx"}
"""The format of a file that was made, as the registry recognises it."""
_LONGEST_WORDS = 300
_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def make(source: Source, target: Target, example: Sequence[Array]) -> bytes:
    """The file of ``source`` in another form; ``example`` is one request of two rows.

    Raises:
        CannotConvert: naming why there is no such form of it.
    """
    try:
        with _quiet(), torch.no_grad():
            return _MAKERS[target](source, example)
    except CannotConvert:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        words = lines[0][:_LONGEST_WORDS] if lines else ""
        raise CannotConvert(f"{type(error).__name__}: {words}") from error


def versions() -> Mapping[str, str]:
    """Those of the packages that make and compute what is made."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}


def _torchscript(source: Source, example: Sequence[Array]) -> bytes:
    if source.format in ("onnx", "torchscript"):
        raise CannotConvert(f"There is no way from {source.format} to TorchScript.")
    script = None
    if source.module is not None:  # control flow is kept where the module can be compiled as it is written
        with contextlib.suppress(Exception):
            script = torch.jit.script(source.module)
    if script is None:
        tensors = tuple(_tensors(source, example))
        script = torch.jit.trace(source.positional, tensors, strict=False)  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.freeze(script.eval()), buffer)
    return buffer.getvalue()


def _onnx(source: Source, example: Sequence[Array]) -> bytes:
    if source.format == "onnx":
        raise CannotConvert("The file is ONNX already.")
    named: Mapping[str, Any] = {
        "input_names": [spec.name for spec in source.signature.inputs],
        "output_names": [spec.name for spec in source.signature.outputs],
    }
    if source.format == "torchscript":
        return _by_the_older_exporter(source, example, named)
    program = source.program or _exported(source, example)
    made = torch.onnx.export(program, (), dynamo=True, verbose=False, **named)
    assert made is not None
    content: bytes = made.model_proto.SerializeToString()
    return content


def _by_the_older_exporter(source: Source, example: Sequence[Array], named: Mapping[str, Any]) -> bytes:
    """The newer one does not take what torch.jit has compiled."""
    specs = (*source.signature.inputs, *source.signature.outputs)
    varying = {
        spec.name: {axis: "batch" if axis == 0 else f"{spec.name}_{axis}" for axis in _varying(spec.shape)}
        for spec in specs
    }
    buffer: Any = io.BytesIO()
    torch.onnx.export(
        source.script, tuple(_tensors(source, example)), buffer, dynamo=False, dynamic_axes=varying, **named
    )
    content: bytes = buffer.getvalue()
    return content


def _exported(source: Source, example: Sequence[Array]) -> Any:
    """A module as a program; sizes that vary stay free where the module lets them."""
    auto = torch.export.Dim.AUTO
    shapes = tuple(dict.fromkeys(_varying(spec.shape), auto) for spec in source.signature.inputs)
    assert source.positional is not None
    return torch.export.export(source.positional, tuple(_tensors(source, example)), dynamic_shapes=(shapes,))


def _int8(source: Source, example: Sequence[Array]) -> bytes:
    content = source.content if source.format == "onnx" else _onnx(source, example)
    with tempfile.TemporaryDirectory() as folder:
        target, model = Path(folder, "int8.onnx"), onnx.load_from_string(content)
        del model.graph.value_info[:]  # shapes of what will be there no more; they are inferred again
        # Of convolutions ConvInteger would be made, which computes slower than what it replaces.
        quantize_dynamic(model, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
        quantised = target.read_bytes()
    kinds = {node.op_type for node in onnx.load_from_string(quantised).graph.node}
    if not kinds & {"MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}:
        raise CannotConvert("The model has no matrices of weights that could be 8-bit integers.")
    return quantised


_MAKERS: Mapping[Target, Callable[[Source, Sequence[Array]], bytes]] = {
    Target.TORCHSCRIPT: _torchscript,
    Target.ONNX: _onnx,
    Target.ONNX_INT8: _int8,
}


def _tensors(source: Source, example: Sequence[Array]) -> list[torch.Tensor]:
    cpu = torch.device("cpu")
    specs = source.signature.inputs
    return [to_torch(array, TYPES[spec.datatype], cpu) for spec, array in zip(specs, example, strict=True)]


def _varying(shape: Sequence[int]) -> list[int]:
    return [axis for axis, size in enumerate(shape) if size < 0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of exporters on optional packages and on their own deprecated calls."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

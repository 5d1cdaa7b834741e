"""The file that is converted, loaded as it is served and as it can be converted."""

import dataclasses
import inspect
import io
from collections.abc import Sequence
from typing import Any

import torch

from services.inference.conversions.errors import CannotConvert
from services.inference.engines.engine import Engine
from services.inference.engines.formats import load_here
from services.inference.engines.order import Order
from services.inference.engines.pytorch.loading import call_of, module_of
from services.inference.engines.pytorch.module import Call
from services.inference.engines.pytorch.program import arguments_of
from services.inference.tensors.model import Signature

FORMATS = ("onnx", "torch_export", "torchscript", "safetensors", "pytorch")
"""What can be converted."""


class Positional(torch.nn.Module):
    """A module that is called with its inputs in the order of the signature."""

    def __init__(self, inner: torch.nn.Module, call: Call) -> None:
        super().__init__()
        self.inner = inner
        self._call = call

    def forward(self, *tensors: torch.Tensor) -> Any:
        """What ``inner`` gives."""
        return self._call(tensors)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A loaded file.

    Attributes:
        format: as the registry recognised it.
        content: the file.
        engine: computes it as a deployment would.
        program: what torch.export has saved; None of another format.
        script: TorchScript; None of another format.
        module: an architecture with its state; None of another format.
        positional: a program or module, called with its inputs in their order; None of other formats.
    """

    format: str
    content: bytes
    engine: Engine
    program: Any = None
    script: Any = None
    module: torch.nn.Module | None = None
    positional: Positional | None = None

    @property
    def signature(self) -> Signature:
        """What goes in and comes out."""
        return self.engine.signature


def load(content: bytes, order: Order) -> Source:
    """The source of a job.

    Raises:
        ModelRefused: it cannot be served, so that there would be nothing to compare with.
        CannotConvert: it is of a format that is not converted.
    """
    if order.format not in FORMATS:
        raise CannotConvert(f"Files of the format {order.format or 'unknown'} are not converted.")
    engine = load_here(content, dataclasses.replace(order, module=""))
    if order.format == "onnx":
        return Source(order.format, content, engine)
    if order.format == "torchscript":
        script = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        return Source(order.format, content, engine, script=script)
    if order.format == "torch_export":
        program = torch.export.load(io.BytesIO(content))  # the engine has refused what would be executed
        graph = program.module()
        positional = Positional(graph, _call_of_program(program, graph))
        return Source(order.format, content, engine, program=program, positional=positional)
    module = module_of(content, order).eval()
    names = list(inspect.signature(module.forward).parameters)
    call = call_of(module, names, [spec.name for spec in engine.signature.inputs])
    return Source(order.format, content, engine, module=module, positional=Positional(module, call))


def _call_of_program(program: Any, module: Any) -> Call:
    positional, named = arguments_of(program)

    def call(tensors: Sequence[torch.Tensor]) -> Any:
        return module(*tensors[:positional], **dict(zip(named, tensors[positional:], strict=True)))

    return call

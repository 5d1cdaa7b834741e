"""Loads what ``torch.export`` saves: a graph of operators that tells its inputs and outputs."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import torch
import torch.export
from torch.export.passes import move_to_device_pass

from services.inference.engines.engine import ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.pytorch.module import Call, output_names
from services.inference.engines.pytorch.tensors import datatype_of
from services.inference.tensors.model import Signature, TensorSpec

_EXECUTED = ("data/aotinductor/", "data/executorch/", "data/mtia", "/opaque_obj_", "/custom_obj_")
"""Members that a loader would unpickle or run."""


def load_program(content: bytes, order: Order, device: torch.device) -> tuple[Call, Signature]:
    """The program in a ``.pt2``, and its signature.

    Raises:
        ModelRefused: it cannot be loaded, brings code, or takes or gives other things than tensors.
    """
    _refuse_code(content)
    try:
        program = torch.export.load(io.BytesIO(content))
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as error:
        raise ModelRefused("PyTorch cannot load the file as an exported program.") from error
    inputs = _values(program, program.graph_signature.user_inputs)
    outputs = _values(program, program.graph_signature.user_outputs)
    positional, named = arguments_of(program)
    if len(inputs) != positional + len(named):
        raise ModelRefused("The program takes nested or constant inputs; every input must be a tensor.")
    names = [*(str(name) for name in program.graph_signature.user_inputs[:positional]), *named]
    signature = Signature(
        _specs(names, inputs), _specs(_output_names(program, order, len(outputs)), outputs), _batchable(inputs, outputs)
    )

    def call(tensors: Sequence[torch.Tensor]) -> Any:
        return module(*tensors[:positional], **dict(zip(named, tensors[positional:], strict=True)))

    return call, signature


def _refuse_code(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ModelRefused("The file is no exported program: it is no zip.") from error
    for name in names:
        if any(part in name for part in _EXECUTED):
            raise ModelRefused(f"The file brings {name}, which would be executed.")


def _values(program: Any, names: Sequence[Any]) -> list[Any]:
    """What the graph knows of these nodes: tensors without elements, whose sizes may be symbols."""
    nodes = {node.name: node for node in program.graph.nodes}
    values = [nodes[name].meta.get("val") if name in nodes else None for name in names]
    if not all(isinstance(value, torch.Tensor) for value in values):
        raise ModelRefused("The program takes or gives something that is no tensor.")
    return values


def arguments_of(program: Any) -> tuple[int, list[str]]:
    """How many inputs of a program are given by position, and the names of the others."""
    arguments, keywords = program.call_spec.in_spec.children()
    return arguments.num_leaves, [str(key) for key in keywords.context]


def _output_names(program: Any, order: Order, count: int) -> list[str]:
    spec = program.call_spec.out_spec
    if spec.type is dict and spec.num_leaves == len(spec.context):
        return [str(key) for key in spec.context]
    registered = [each.name for each in order.signature.outputs] if order.signature else []
    return registered if len(registered) == count else output_names(count)


def _specs(names: Sequence[str], values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name,
            datatype_of(value.dtype, name),
            tuple(size if isinstance(size, int) else -1 for size in value.shape),
        )
        for name, value in zip(names, values, strict=True)
    )


def _batchable(inputs: Sequence[Any], outputs: Sequence[Any]) -> bool:
    """Whether the first size of every tensor is one and the same symbol."""
    first = [value.shape[0] if value.dim() else 0 for value in (*inputs, *outputs)]
    return bool(inputs) and not any(isinstance(size, int) for size in first) and len({str(size) for size in first}) == 1

"""Loads PyTorch's files. What is called here reads data: code comes from PyTorch, or is registered, never from a file.

TorchScript is a program for PyTorch's own interpreter, which reaches no Python. A ``.pt2`` is a graph of operators; the
parts of one that would be unpickled or executed are refused. States are tensors alone.
"""

import inspect
import io
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
import torch

from services.inference.engines.engine import Engine, ModelRefused
from services.inference.engines.order import Order
from services.inference.engines.pytorch.architectures import architecture
from services.inference.engines.pytorch.module import Call, Computing, ModuleEngine
from services.inference.engines.pytorch.probing import signature_of
from services.inference.engines.pytorch.program import load_program


def load(content: bytes, order: Order) -> Engine:
    """See engines.formats."""
    computing = Computing(order.options, order.memory_bytes)
    if order.format == "torch_export":
        call, signature = load_program(content, order, computing.device)
        return ModuleEngine(call, signature, computing, "pytorch_export")
    if order.format == "torchscript":
        module = _script(content, computing.device)
        names = [each.name for each in module.forward.schema.arguments[1:]]
        platform = "pytorch_libtorch"
    else:
        module = module_of(content, order).to(computing.device)
        names = list(inspect.signature(module.forward).parameters)
        platform = "pytorch_state_dict"
    call = call_of(module.eval(), names, [spec.name for spec in order.said_inputs()])
    return ModuleEngine(call, signature_of(order, call, computing), computing, platform)


def _script(content: bytes, device: torch.device) -> Any:
    try:
        return torch.jit.load(io.BytesIO(content), map_location=device)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise ModelRefused("PyTorch cannot load the file as TorchScript.") from error


def module_of(content: bytes, order: Order) -> torch.nn.Module:
    """The module of the architecture that ``order`` names, with the state in a file.

    Raises:
        ModelRefused: the file is no state, or not one of this architecture.
    """
    state = _state(content, order.format)
    make = order.code.load() if order.code else architecture(order.options.architecture)
    try:
        module: torch.nn.Module = make(state)
        module.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise ModelRefused(f"The weights are not those of {order.options.architecture}: {error}") from error
    return module


def _state(content: bytes, format_name: str) -> Mapping[str, torch.Tensor]:
    try:
        if format_name == "safetensors":
            return dict(safetensors.torch.load(content))
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelRefused("PyTorch cannot load the file as weights.") from error
    if not isinstance(state, Mapping) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise ModelRefused("The file is no state dict: it must map names to tensors.")
    return state


def call_of(module: Any, parameters: Sequence[str], names: Sequence[str]) -> Call:
    """How a module is called: inputs by name where the module's parameters have their names, else in their order."""
    if all(name in parameters for name in names):
        return lambda tensors: module(**dict(zip(names, tensors, strict=True)))
    if len(names) > len(parameters):
        raise ModelRefused(f"The model takes {len(parameters)} inputs, {', '.join(parameters)}; said are {len(names)}.")
    return lambda tensors: module(*tensors)

"""Finds out what comes out of a module by computing with zeros."""

from collections.abc import Sequence

import torch

from services.inference.engines.engine import ModelRefused
from services.inference.engines.order import Order, rows_vary
from services.inference.engines.pytorch.module import Call, Computing, named
from services.inference.engines.pytorch.tensors import TYPES, datatype_of
from services.inference.tensors.model import Signature, TensorSpec


def signature_of(order: Order, call: Call, computing: Computing) -> Signature:
    """What goes in as somebody says, and what comes out: as somebody says, or else as two computations show.

    Raises:
        ModelRefused: nobody says what goes in; or it cannot be seen what comes out.
    """
    inputs = order.said_inputs()
    for spec in (*inputs, *order.said_outputs()):
        if spec.datatype not in TYPES:
            raise ModelRefused(f"{spec.name!r} is of type {spec.datatype}, which PyTorch does not have.")
    outputs = order.said_outputs() or _probed(order, inputs, call, computing)
    return Signature(inputs, outputs, rows_vary((*inputs, *outputs)))


def _probed(order: Order, inputs: Sequence[TensorSpec], call: Call, computing: Computing) -> tuple[TensorSpec, ...]:
    known = [spec.name for spec in order.signature.outputs] if order.signature else []
    first, second = (_computed(inputs, size, known, call, computing) for size in (1, 2))
    specs = []
    for name, tensor in first.items():
        other = second.get(name, tensor)
        if other.dim() != tensor.dim():
            raise ModelRefused(f"The rank of {name!r} varies: say what comes out in the deployment's engine.outputs.")
        shape = tuple(size if size == again else -1 for size, again in zip(tensor.shape, other.shape, strict=True))
        # What autocast lowers is given in full precision.
        dtype = torch.float32 if tensor.dtype is computing.lower else tensor.dtype
        specs.append(TensorSpec(name, datatype_of(dtype, name), shape))
    return tuple(specs)


def _computed(
    inputs: Sequence[TensorSpec], varying: int, names: Sequence[str], call: Call, computing: Computing
) -> dict[str, torch.Tensor]:
    zeros = [
        torch.zeros([varying if size < 0 else size for size in spec.shape], dtype=TYPES[spec.datatype]).to(
            computing.device
        )
        for spec in inputs
    ]
    try:
        given = computing(call, zeros)
        listed = len(given) if isinstance(given, tuple | list) else 1
        return dict(named(given, names if len(names) == listed else []))
    except Exception as error:
        raise ModelRefused(
            "The model fails on zeros: say what comes out in the deployment's engine.outputs, or correct engine.inputs."
        ) from error

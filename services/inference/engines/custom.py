"""Python functions that an administrator has registered (see ``code``), behind the Engine interface.

A registered function is called once with the model's file, open for reading, and the device, and gives what computes:

    def rank(model: BinaryIO, device: str) -> Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]: ...

That is called with a batch of inputs by name and gives the outputs by name.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from services.inference.engines.engine import Engine, EngineFailed, ModelRefused
from services.inference.engines.order import Order, rows_vary
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, Signature

Compute: TypeAlias = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def load(content: bytes, order: Order) -> Engine:
    """See engines.formats."""
    inputs, outputs = order.said_inputs(), order.said_outputs()
    if not outputs:
        raise ModelRefused("Say in the deployment's engine.outputs what the callable gives.")
    if order.code is None:
        raise ModelRefused(f"No callable {order.options.callable} is registered.")
    make = order.code.load()
    try:
        compute = make(io.BytesIO(content), order.options.device)
    except Exception as error:
        raise ModelRefused(f"The callable {order.options.callable} fails on the model's file: {error!r}.") from error
    return CallableEngine(compute, Signature(inputs, outputs, rows_vary((*inputs, *outputs))))


class CallableEngine(Engine):
    """See Engine."""

    platform = "python"

    def __init__(self, compute: Compute, signature: Signature) -> None:
        self.signature = signature
        self._compute = compute

    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """See Engine. Floats may be given in another precision than that of the signature."""
        named = {spec.name: array for spec, array in zip(self.signature.inputs, inputs, strict=True)}
        try:
            given = self._compute(named)
            return [
                np.asarray(given[spec.name]).astype(NUMPY_TYPES[spec.datatype], casting="same_kind", copy=False)
                for spec in self.signature.outputs
            ]
        except Exception as error:
            raise EngineFailed from error

    def stop(self) -> None:
        """See Engine. Python cannot be stopped: the process is ended when its time is over."""

    def close(self) -> None:
        """See Engine."""
        del self._compute

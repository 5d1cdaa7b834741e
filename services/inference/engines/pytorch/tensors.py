"""Between numpy and PyTorch, without a copy where both know the element type."""

import numpy as np
import torch

from services.inference.engines.engine import ModelRefused
from services.inference.tensors.model import Array

DATATYPES = {
    torch.bool: "BOOL",
    torch.uint8: "UINT8",
    torch.uint16: "UINT16",
    torch.uint32: "UINT32",
    torch.uint64: "UINT64",
    torch.int8: "INT8",
    torch.int16: "INT16",
    torch.int32: "INT32",
    torch.int64: "INT64",
    torch.float16: "FP16",
    torch.bfloat16: "BF16",
    torch.float32: "FP32",
    torch.float64: "FP64",
}
TYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}


def datatype_of(dtype: torch.dtype, name: str) -> str:
    """The protocol's name of an element type.

    Raises:
        ModelRefused: it has none.
    """
    if dtype not in DATATYPES:
        raise ModelRefused(f"{name!r} is of type {dtype}, which cannot travel as a tensor.")
    return DATATYPES[dtype]


def to_torch(array: Array, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The tensor in ``array``; it shares its memory on the CPU where that may be written to."""
    writable = array if array.flags.writeable else array.copy()
    if dtype is torch.bfloat16:
        return torch.from_numpy(writable.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(writable).to(device)


def to_numpy(tensor: torch.Tensor) -> Array:
    """The elements of a tensor; BF16 as its bits."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype is torch.bfloat16:
        bits: Array = tensor.view(torch.int16).numpy().view(np.uint16)
        return bits
    elements: Array = tensor.numpy()
    return elements

"""What a torch module answers where it was trained, as a parity record: its servers have to answer the same (N-04)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from headwater import parity
from headwater.parity import Parity, ParityInvalid, Sample, environment
from headwater.parity.arrays import as_tensor
from headwater.tensors import Tensor

if TYPE_CHECKING:
    import torch


def parity_of(
    module: "torch.nn.Module", samples: "Mapping[str, torch.Tensor]", inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    """The record of the module's own answers to each row of ``samples``, which have the names ``inputs``.

    Raises:
        ParityInvalid: the samples have other names, different numbers of rows or none, or are too many; the module
            gives another number of outputs than there are names.
    """
    import torch
    from torch.utils import _pytree as pytree

    if list(samples) != list(inputs):
        raise ParityInvalid(f"samples: must have {', '.join(inputs)}, as the example; have {', '.join(samples)}.")
    counts = {len(tensor) for tensor in samples.values()}
    if len(counts) != 1:
        raise ParityInvalid(f"samples: every input must have the same number of rows; they have {sorted(counts)}.")
    recorded = []
    for row in range(*counts):
        given = [tensor[row : row + 1].detach().cpu() for tensor in samples.values()]
        with torch.no_grad():
            answers = pytree.tree_leaves(module(*given))
        if len(answers) != len(outputs):
            raise ParityInvalid(f"The module gives {len(answers)} outputs; {len(outputs)} are named.")
        recorded.append(Sample(_named(inputs, given), "", _named(outputs, answers)))
    return parity.write(Parity(tuple(recorded), "", environment.here()))


def _named(names: Sequence[str], tensors: "Sequence[torch.Tensor]") -> tuple[Tensor, ...]:
    return tuple(_tensor(name, tensor) for name, tensor in zip(names, tensors, strict=True))


def _tensor(name: str, tensor: "torch.Tensor") -> Tensor:
    import torch

    if tensor.dtype is torch.bfloat16:  # numpy has none: its 16 bits as they are
        return Tensor(name, "BF16", tensor.contiguous().view(torch.int16).numpy().view(np.uint16))
    return as_tensor(name, tensor.numpy())

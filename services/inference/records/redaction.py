"""Leaves out of tensors what must not be recorded, before anything of them is written anywhere.

What cannot be left out for certain leaves out everything: a tensor that is named and does not come, or comes with
other columns than were named, may be the secret under another name.
"""

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from services.inference.records.recording import RecordedTensor
from services.inference.tensors.model import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Redacted:
    """Tensors of which something was left out: its place holds zeros, or empty byte strings."""

    tensors: Sequence[Tensor]
    left_out: Sequence[str]
    """``input``, or ``input.column`` with the column's name or else its number."""


def redact(tensors: Collection[Tensor], rules: Sequence[RecordedTensor]) -> Redacted | None:
    """The tensors without what the rules leave out; None when that cannot be told for certain."""
    by_name = {rule.name: rule for rule in rules if rule.redacts}
    if by_name.keys() - {tensor.name for tensor in tensors}:
        return None
    kept, left_out = [], []
    for tensor in tensors:
        rule = by_name.get(tensor.name)
        if rule is None:
            kept.append(tensor)
        elif rule.redacted:
            kept.append(_blank(tensor))
            left_out.append(tensor.name)
        elif not _fits(tensor, rule):
            return None
        else:
            kept.append(_without(tensor, rule.numbers))
            left_out += [f"{tensor.name}.{column}" for column in rule.redacted_columns]
    return Redacted(kept, left_out)


def _fits(tensor: Tensor, rule: RecordedTensor) -> bool:
    shape = tensor.array.shape
    if not shape or (rule.columns and shape[-1] != len(rule.columns)):
        return False
    return all(number < shape[-1] for number in rule.numbers)


def _blank(tensor: Tensor) -> Tensor:
    array = np.zeros(tensor.array.shape, tensor.array.dtype)
    if array.dtype.hasobject:
        array.fill(b"")
    return Tensor(tensor.name, tensor.datatype, array)


def _without(tensor: Tensor, columns: Sequence[int]) -> Tensor:
    array = tensor.array.copy()
    array[..., list(columns)] = b"" if array.dtype.hasobject else 0
    return Tensor(tensor.name, tensor.datatype, array)

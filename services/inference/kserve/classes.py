"""The classification extension: the highest values of an output, each with where it stands.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md
"""

import math

import numpy as np

from services.inference.errors import InvalidRequest
from services.inference.tensors.errors import shown
from services.inference.tensors.model import Tensor


def highest(output: Tensor, count: int, *, rows: bool) -> Tensor:
    """A BYTES tensor of ``value:index``, the ``count`` highest values first; of each row, if there are ``rows``.

    Where values are equal the lower index comes first, NaN comes last, and there are never more than values.

    Raises:
        InvalidRequest: the output is not of numbers that have an order.
    """
    array = output.array
    if output.datatype in ("BYTES", "BOOL", "BF16"):
        raise InvalidRequest(f"{shown(output.name)}: classes need an output of numbers; it is {output.datatype}.")
    count_of_lines = array.shape[0] if rows else 1
    lines = array.reshape(count_of_lines, math.prod(array.shape[1:] if rows else array.shape))
    kept = min(count, lines.shape[1])
    found = np.empty((len(lines), kept), np.object_)
    form = "%f:%d" if array.dtype.kind == "f" else "%d:%d"
    for number, line in enumerate(lines):
        # Sorted from the end, so that what is stable upwards is stable downwards too.
        order = len(line) - 1 - np.argsort(line[::-1], kind="stable")
        descending = order[::-1] if array.dtype.kind != "f" else _nan_last(line, order[::-1])
        found[number, :] = [(form % (line[index], index)).encode() for index in descending[:kept]]
    return Tensor(output.name, "BYTES", found if rows else found[0])


def _nan_last(line: np.ndarray, order: np.ndarray) -> np.ndarray:
    unordered = np.isnan(line[order])
    return np.concatenate([order[~unordered], order[unordered]])

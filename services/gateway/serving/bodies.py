"""Tensors that were recorded, as tables; what was left out of them is seen as left out, and never as zeros. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from headwater.datasets import figures
from headwater.inference.v1 import recording_pb2
from headwater.tensors import Array, Tensor, from_canonical

ROWS = 8
COLUMNS = 16
_TEXT = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One element."""

    text: str
    left_out: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The beginning of one tensor: its last dimension goes to the right, all others down."""

    name: str
    datatype: str
    shape: Sequence[int]
    columns: Sequence[str]
    """Names, or numbers from 0."""
    rows: Sequence[Sequence[Cell]]
    left_out: str = ""
    """Why no element is shown; empty where some are."""
    more: bool = False
    """Whether there are elements that are not shown."""


def tables(body: bytes, redacted: Sequence[str], rules: Iterable[recording_pb2.RecordedTensor]) -> Sequence[Table]:
    """The tensors of a body. ``rules`` are those of its deployment now, which give names to columns.

    Of a body that cannot be read there are none: it is of a later release.
    """
    named = {rule.name: list(rule.columns) for rule in rules}
    try:
        return [_table(tensor, redacted, named) for tensor in from_canonical(body)] if body else []
    except ValueError:
        return []


def _table(tensor: Tensor, redacted: Sequence[str], named: Mapping[str, Sequence[str]]) -> Table:
    array = _numbers(tensor)
    flat = array.reshape((-1, array.shape[-1] if array.ndim else 1)) if array.size else array.reshape((0, 0))
    names = list(named.get(tensor.name, ()))
    columns = names if len(names) == flat.shape[1] else [str(number) for number in range(flat.shape[1])]
    hidden = _hidden(tensor.name, redacted, columns)
    why = ""
    if tensor.name in redacted:
        why = "Left out, all of it."
    elif hidden is None:
        why = "Columns were left out that have no such names any more, so that nothing of it is shown."
    shown = flat[:ROWS, :COLUMNS] if not why else flat[:0]
    return Table(
        tensor.name,
        tensor.datatype,
        list(tensor.array.shape),
        columns[:COLUMNS],
        [[_cell(value, number in (hidden or ())) for number, value in enumerate(row)] for row in shown.tolist()],
        why,
        not why and shown.size < flat.size,
    )


def _hidden(name: str, redacted: Sequence[str], columns: Sequence[str]) -> set[int] | None:
    """The numbers of the columns that were left out; None where that cannot be told."""
    numbers = set()
    for each in redacted:
        if not each.startswith(f"{name}."):
            continue
        column = each.removeprefix(f"{name}.")
        if column in columns:
            numbers.add(columns.index(column))
        elif column.isascii() and column.isdigit() and int(column) < len(columns):
            numbers.add(int(column))
        else:
            return None
    return numbers


def _numbers(tensor: Tensor) -> Array:
    if tensor.datatype == "BF16":
        return (tensor.array.astype(np.uint32) << 16).view(np.float32)
    return tensor.array


def _cell(value: object, left_out: bool) -> Cell:
    if left_out:
        return Cell("left out", left_out=True)
    match value:
        case bytes():
            text = value.decode(errors="replace")
            return Cell(text if len(text) <= _TEXT else f"{text[:_TEXT]}…")
        case bool():
            return Cell(str(value).lower())
        case int():
            return Cell(str(value))  # identifiers among them: no separators
        case float():
            return Cell(figures.number(value))
        case _:
            return Cell(str(value))

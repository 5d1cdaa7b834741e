"""Requests of different lengths in one batch: filled up to the same length, and the answers cut back.

Lengths are rounded up to a few sizes, so that requests of about the same length meet and an engine sees few shapes.
A request that is computed alone is padded too: its answer does not depend on who else was in the batch.
"""

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np

from services.inference.batching.options import InvalidBatching, Padding
from services.inference.batching.waiting import Shapes, Waiting
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, Signature, TensorSpec


class CannotSplit(Exception):
    """The outputs of a batch do not have one row for each of its rows, or not the length of its inputs."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Length:
    """One padding, by where tensors stand in the signature: (position, dimension) pairs."""

    inputs: Sequence[tuple[int, int]]
    outputs: Sequence[tuple[int, int]]
    sizes: Sequence[int]

    def of(self, inputs: Sequence[Array]) -> int | None:
        """The length that all padded inputs have; None if they do not agree."""
        lengths = {inputs[position].shape[dimension] for position, dimension in self.inputs}
        return lengths.pop() if len(lengths) == 1 else None

    def round_up(self, length: int) -> int | None:
        """The next size; None if there is none."""
        if not self.sizes:
            return 1 << (length - 1).bit_length() if length else 1
        position = bisect.bisect_left(self.sizes, length)
        return self.sizes[position] if position < len(self.sizes) else None


class Padder:
    """The paddings of one model. Knows its signature; changes no array that it gets."""

    def __init__(self, paddings: Sequence[Padding], signature: Signature) -> None:
        """Raises InvalidBatching where the paddings do not fit the signature."""
        if paddings and not signature.batchable:
            raise InvalidBatching("Requests to this model are not batched, so that padding has no use.")
        self._signature = signature
        self._lengths = [_resolve(padding, signature) for padding in paddings]
        self._values = _values(paddings, signature)

    def shapes(self, inputs: Sequence[Array]) -> tuple[Shapes, tuple[int, ...]] | None:
        """With what shapes a request is computed, and the lengths that it has itself; None if it is not padded."""
        exact = tuple([array.shape[1:] for array in inputs])
        lengths = [length.of(inputs) for length in self._lengths]
        sizes = [None if own is None else each.round_up(own) for each, own in zip(self._lengths, lengths, strict=True)]
        if None in sizes or not sizes:
            return None
        padded = [list(shape) for shape in exact]
        for each, size in zip(self._lengths, sizes, strict=True):
            for position, dimension in each.inputs:
                padded[position][dimension - 1] = size or 0
        return tuple(map(tuple, padded)), tuple(own or 0 for own in lengths)

    def fill(self, inputs: Sequence[Array], fits_with: Shapes) -> Sequence[Array]:
        """``inputs`` with these shapes, filled up where they are shorter."""
        return [
            array if array.shape[1:] == shape else self._fill(array, shape, self._values[position])
            for position, (array, shape) in enumerate(zip(inputs, fits_with, strict=True))
        ]

    def cut(self, outputs: list[Array], fits_with: Shapes, lengths: Sequence[int]) -> list[Array]:
        """The outputs of a request that was computed with these shapes, cut back to its own lengths.

        Raises:
            CannotSplit: they are not as long as the inputs were.
        """
        for each, length in zip(self._lengths, lengths, strict=True):
            position, dimension = each.inputs[0]
            padded = fits_with[position][dimension - 1]
            for position, dimension in each.outputs:
                output = outputs[position]
                if output.ndim <= dimension or output.shape[dimension] != padded:
                    raise CannotSplit
                outputs[position] = output[(slice(None),) * dimension + (slice(length),)]
        return outputs

    @staticmethod
    def _fill(array: Array, shape: tuple[int, ...], value: object) -> Array:
        filled = np.full((array.shape[0], *shape), value, array.dtype)
        filled[tuple([slice(size) for size in array.shape])] = array
        return filled


def filled(waiting: Waiting) -> Sequence[Array]:
    """The inputs of a request with the shapes that it is computed with."""
    return waiting.inputs if waiting.padder is None else waiting.padder.fill(waiting.inputs, waiting.fits_with)


def split(outputs: Sequence[Array], batch: Sequence[Waiting]) -> list[Sequence[Array]]:
    """The outputs of each request of a batch, cut back to its rows and lengths.

    Raises:
        CannotSplit: they have not as many rows, or are not as long, as the inputs.
    """
    if len(batch) == 1 and batch[0].padder is None:
        return [outputs]
    rows = sum([waiting.rows for waiting in batch])
    if any(not output.ndim or output.shape[0] != rows for output in outputs):
        raise CannotSplit
    results: list[Sequence[Array]] = []
    start = 0
    for waiting in batch:
        end = start + waiting.rows
        own = [output[start:end] for output in outputs]
        padder = waiting.padder
        results.append(own if padder is None else padder.cut(own, waiting.fits_with, waiting.lengths))
        start = end
    return results


def _resolve(padding: Padding, signature: Signature) -> _Length:
    return _Length(
        [_find(signature.inputs, "input", each.name, each.dimension) for each in padding.inputs],
        [_find(signature.outputs, "output", each.name, each.dimension) for each in padding.outputs],
        padding.sizes,
    )


def _find(specs: Sequence[TensorSpec], kind: str, name: str, dimension: int) -> tuple[int, int]:
    for position, spec in enumerate(specs):
        if spec.name != name:
            continue
        if not 0 < dimension < len(spec.shape) or spec.shape[dimension] != -1:
            raise InvalidBatching(
                f"Dimension {dimension} of the {kind} {name!r} cannot be padded: its shape is {list(spec.shape)}, "
                "where -1 varies and dimension 0 counts the rows.",
                tensor=name,
            )
        return position, dimension
    known = ", ".join(repr(spec.name) for spec in specs)
    raise InvalidBatching(f"The padding names the {kind} {name!r}; the model has {known}.", tensor=name)


def _values(paddings: Sequence[Padding], signature: Signature) -> dict[int, object]:
    """What each padded input is filled up with, by where it stands."""
    values: dict[str, float] = {}
    for each in [each for padding in paddings for each in padding.inputs]:
        if values.setdefault(each.name, each.value) != each.value:
            raise InvalidBatching(f"All padded dimensions of {each.name!r} must have one value.", tensor=each.name)
    return {
        position: _as_stored(spec, values[spec.name])
        for position, spec in enumerate(signature.inputs)
        if spec.name in values
    }


def _as_stored(spec: TensorSpec, value: float) -> object:
    """``value`` as an array of this datatype holds it.

    Raises:
        InvalidBatching: it cannot hold it.
    """
    if spec.datatype == "BYTES":
        stored: object = b""
        exact = value == 0
    elif spec.datatype == "BF16":
        stored = int(np.float32(value).view(np.uint32) >> 16)
        exact = True
    elif spec.datatype.startswith("FP"):
        stored = value
        exact = not np.isfinite(value) or abs(value) <= np.finfo(NUMPY_TYPES[spec.datatype]).max
    else:
        stored = int(value)
        exact = stored == value and _fits(spec.datatype, stored)
    if not exact:
        raise InvalidBatching(f"{spec.name!r} is {spec.datatype}, which cannot hold {value:g}.", tensor=spec.name)
    return stored


def _fits(datatype: str, value: int) -> bool:
    if datatype == "BOOL":
        return value in (0, 1)
    bounds = np.iinfo(NUMPY_TYPES[datatype])
    return int(bounds.min) <= value <= int(bounds.max)

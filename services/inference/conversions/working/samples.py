"""The inputs on which two models are compared: those of the version's parity record, or random ones."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from headwater import parity
from headwater.parity.environment import here
from headwater.tensors import NUMPY_TYPES, Array, Tensor
from headwater.transforms import Pipeline
from headwater.transforms.feeding import Feed, Input
from services.inference.conversions.errors import CannotConvert
from services.inference.tensors.model import Signature, TensorSpec

_ROWS = (2, 1, 3, 5)
"""Different sizes, so that a form in which one of them is fixed does not pass."""
_OTHER = 8
_FLOATS = ("FP16", "FP32", "FP64")


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """Inputs in the order of the signature, and the parity record that they are from, if they are."""

    inputs: Sequence[Sequence[Array]]
    record: parity.Parity | None = None

    def record_of(self, signature: Signature, outputs: Sequence[Sequence[Array]]) -> bytes:
        """The parity record of a model that gives ``outputs`` for the same samples; empty where there was none."""
        if self.record is None:
            return b""
        samples = [
            dataclasses.replace(
                sample,
                outputs=tuple(
                    Tensor(spec.name, spec.datatype, array)
                    for spec, array in zip(signature.outputs, given, strict=True)
                ),
            )
            for sample, given in zip(self.record.samples, outputs, strict=True)
        ]
        return parity.write(dataclasses.replace(self.record, samples=tuple(samples), environment=here()))


def recorded(signature: Signature, document: bytes, pipeline: str) -> Samples:
    """Those of a parity record; ``pipeline`` prepares the raw ones.

    Raises:
        ParityInvalid, InvalidArgument: the record does not fit the model.
    """
    record = parity.read(document)
    prepares = Pipeline.parse(pipeline) if pipeline else None
    inputs = []
    for sample in record.samples:
        tensors = {tensor.name: tensor for tensor in sample.inputs}
        if sample.files is not None:
            if prepares is None:
                raise CannotConvert("The parity record has raw samples, and no pipeline was recorded with the version.")
            feed = Feed.of(prepares, [Input(spec.name, spec.datatype, spec.shape) for spec in signature.inputs])
            array = feed.tensor(prepares.prepare_all(sample.files))
            tensors = {feed.name: Tensor(feed.name, feed.datatype, array)}
        inputs.append(signature.arrange(tensors))
    return Samples(inputs, record)


def drawn(signature: Signature, count: int) -> Samples:
    """``count`` random inputs, always the same: normal numbers; 0 and 1 for integers, which may be indices."""
    generator = np.random.default_rng(0)
    return Samples([rows_of(signature, _ROWS[index % len(_ROWS)], generator) for index in range(count)])


def rows_of(signature: Signature, rows: int, generator: np.random.Generator | None = None) -> list[Array]:
    """One random input of so many rows; of as many as the model takes where these are fixed.

    Raises:
        CannotConvert: an input is text, of which nobody knows what would be sensible.
    """
    generator = generator or np.random.default_rng(0)
    return [_array(spec, rows, generator) for spec in signature.inputs]


def _array(spec: TensorSpec, rows: int, generator: np.random.Generator) -> Array:
    shape = [size if size >= 0 else _OTHER if position else rows for position, size in enumerate(spec.shape)]
    if spec.datatype in _FLOATS:
        return np.asarray(generator.standard_normal(shape)).astype(NUMPY_TYPES[spec.datatype])
    if spec.datatype == "BF16":
        bits: Array = np.asarray(generator.standard_normal(shape)).astype("<f4").view("<u4")
        return (bits >> 16).astype("<u2").reshape(shape)
    if spec.datatype == "BYTES":
        raise CannotConvert(f"{spec.name!r} is text: register the version with samples, which are compared then.")
    return generator.integers(0, 2, shape).astype(NUMPY_TYPES[spec.datatype])

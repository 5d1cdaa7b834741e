"""A parity record: sample inputs of a model version, and what came of them where it was made (N-04)."""

import dataclasses
from collections.abc import Mapping

from headwater.parity.errors import ParityInvalid
from headwater.parity.words import MAX_SAMPLES, RAW
from headwater.tensors import Tensor, digest


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an output number may be from the recorded one: ``absolute + relative × |recorded|``."""

    absolute: float = 1e-5
    relative: float = 1e-3

    def __post_init__(self) -> None:
        if not (0 <= self.absolute < 1 and 0 <= self.relative < 1):
            raise ParityInvalid("tolerance: absolute and relative must be from 0 to below 1.", field="tolerance")


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One request and its answer.

    Attributes:
        inputs: as they are sent: the tensor ``raw``, or the inputs of the model.
        prepared: the digest of what the pipeline made of ``raw``, as the model's input; empty where no pipeline ran.
        outputs: what the model answered, in full, so that a tolerance can be kept.
    """

    inputs: tuple[Tensor, ...]
    prepared: str
    outputs: tuple[Tensor, ...]

    @property
    def files(self) -> list[bytes] | None:
        """The files of ``raw``; None of a sample that is sent prepared."""
        return list(self.inputs[0].array) if self.prepared else None


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """Samples, and where they were recorded. ``pipeline`` is the digest of the pipeline; empty for none."""

    samples: tuple[Sample, ...]
    pipeline: str
    environment: Mapping[str, str]
    tolerance: Tolerance = Tolerance()

    def __post_init__(self) -> None:
        if not 1 <= len(self.samples) <= MAX_SAMPLES:
            raise ParityInvalid(f"A parity record has 1 to {MAX_SAMPLES} samples; {len(self.samples)} are given.")
        for index, sample in enumerate(self.samples):
            _check(index, sample, self.pipeline)


def prepared_digest(tensor: Tensor) -> str:
    """The digest of what a pipeline has made of a sample; exact to the bit."""
    return digest([tensor])


def _check(index: int, sample: Sample, pipeline: str) -> None:
    if not sample.inputs or not sample.outputs:
        raise ParityInvalid(f"samples[{index}]: inputs and outputs are needed.", sample=index)
    for tensors in (sample.inputs, sample.outputs):
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise ParityInvalid(f"samples[{index}]: a tensor is there twice.", sample=index)
    if sample.prepared and not pipeline:
        raise ParityInvalid(f"samples[{index}]: it was prepared, and the record names no pipeline.", sample=index)
    if sample.prepared and not (
        len(sample.inputs) == 1
        and sample.inputs[0].name == RAW
        and sample.inputs[0].datatype == "BYTES"
        and sample.inputs[0].array.ndim == 1
        and sample.inputs[0].array.size
    ):
        raise ParityInvalid(f"samples[{index}]: a prepared sample has one input, `{RAW}` BYTES [rows].", sample=index)

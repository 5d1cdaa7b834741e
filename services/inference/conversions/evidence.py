"""What a conversion job has found; the reason to trust what came of it."""

import dataclasses
import math
from collections.abc import Mapping

from services.inference.tensors.model import TensorSpec

BASELINE = "baseline"
"""The name of the source among the candidates."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """How one output differs from the source's, over all samples. None stands for what is not finite."""

    name: str
    elements: int
    outside: int
    largest_absolute: float | None
    largest_relative: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """One way to compute the source, as far as it came. Times are in milliseconds; see the proto."""

    name: str
    format: str
    threads: int
    size_bytes: int = 0
    conversion_s: float = 0.0
    refused: str = ""
    differences: tuple[Difference, ...] = ()
    top1_agreement: float = 0.0
    median_ms: float = 0.0
    low_ms: float = 0.0
    high_ms: float = 0.0
    speedup: float = 0.0
    rounds: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class BatchTime:
    """How long a batch of so many rows takes."""

    rows: int
    median_ms: float


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What was made, compared and measured; see the proto."""

    source_format: str
    source_digest: str
    source_size_bytes: int
    from_parity_record: bool
    sample_count: int
    candidates: tuple[Candidate, ...]
    chosen: str = ""
    speedup: float = 0.0
    max_batch_size: int = 0
    batch_times: tuple[BatchTime, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cores: int = 0
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    @property
    def choice(self) -> Candidate | None:
        """The candidate that was chosen."""
        return next((each for each in self.candidates if each.name == self.chosen), None)


def finite(number: float) -> float | None:
    """``number`` as evidence keeps it: JSON has no infinities."""
    return number if math.isfinite(number) else None

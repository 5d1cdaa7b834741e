"""What a reader finds out about a file."""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence

from headwater.errors import InvalidArgument

MAX_TENSORS = 100_000
"""More tensors than this are refused: their description alone would outgrow a message."""
MAX_INT64 = 2**63 - 1
_NOT_WEIGHTS = frozenset({"INT64", "BOOL", "BYTES"})


class InvalidModelFile(InvalidArgument):
    """The content begins like a known format and then breaks its rules; the text says which."""

    reason = "INVALID_MODEL_FILE"
    text = "The model file is not valid."


class Format(enum.IntEnum):
    """The formats that are recognised; the numbers are those of ``headwater.artifact.v1.ModelFile.Format``."""

    UNSPECIFIED = 0
    SAFETENSORS = 1
    ONNX = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's name, type in Open Inference Protocol notation, and shape (-1 for a dimension that varies)."""

    name: str
    datatype: str
    shape: Sequence[int]


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalData:
    """Bytes that a file expects in another one, by a path relative to its own; ``end`` is the first byte past them."""

    location: str
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says of itself. ``inputs`` and ``outputs`` are empty for a format that has no graph."""

    format: Format = Format.UNSPECIFIED
    tensors: Sequence[Tensor] = ()
    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    external: Sequence[ExternalData] = ()

    @property
    def parameter_count(self) -> int:
        """Elements of all tensors that can be weights: not those of 64-bit integers, booleans or texts, which count,
        index and mask."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors if tensor.datatype not in _NOT_WEIGHTS)

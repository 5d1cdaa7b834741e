"""What a reader finds out about a file."""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
    PYTORCH = 3
    PYTORCH_LEGACY = 4
    TORCHSCRIPT = 5
    TORCH_EXPORT = 6
    SAFETENSORS_INDEX = 7
    TENSORFLOW_SAVED_MODEL = 8
    TENSORFLOW_VARIABLES = 9
    KERAS = 10
    HDF5 = 11
    GGUF = 12
    XGBOOST = 13
    LIGHTGBM = 14
    HUGGING_FACE_CONFIG = 15
    HUGGING_FACE = 16
    PICKLE = 17
    TAR = 18
    ZIP = 19


class Tensor(NamedTuple):
    """A tensor's name, type in Open Inference Protocol notation, and shape (-1 for a dimension that varies).

    ``begin`` and ``end`` are the bytes of its elements within the file; both are -1 where they do not lie there as they
    are: compressed, in another file, or nowhere.
    """

    # A tuple, since a file may have 100,000, and making a frozen dataclass takes three times as long.
    name: str
    datatype: str
    shape: Sequence[int]
    begin: int = -1
    end: int = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """A named part of a model, and what kind it is as the file says: ``Conv2D``; empty where it does not say."""

    name: str
    kind: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Global:
    """Something outside the file that a pickle would import, ``torch._utils._rebuild_tensor_v2``; whether it would also
    be called, and whether it is one of those that only build tensors and plain containers."""

    name: str
    called: bool
    safe: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a function of a model, and what comes out."""

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalData:
    """Bytes that a file expects in another one, by a path relative to its own; ``end`` is the first byte past them."""

    location: str
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says of itself.

    Attributes:
        format: what it is.
        tensors: its weights, by name.
        inputs, outputs: of the function that serves; empty for a format that has no graph.
        signatures: all functions, where a file has several.
        properties: free texts: producer, description and the like.
        external: what it expects in other files.
        framework, framework_version: what wrote it, ``pytorch``, ``2.13.0``; empty where it does not say.
        architecture: for example ``BertForMaskedLM``; empty where it does not say.
        layers: its parts in their order.
        operators: how often each operator is used.
        opsets: version of each operator set.
        globals: all that its pickles would import.
        code: what it brings that a loader would execute: ``code/__torch__.py``, ``Lambda layer "scale"``.
        problems: what makes it unsafe to load, for people; a file with any is stored, marked, and never served.
        members: the files within an archive, by path.
        tensor_files: of an index, the file that each tensor is in, relative to its own.
    """

    format: Format = Format.UNSPECIFIED
    tensors: Sequence[Tensor] = ()
    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()
    signatures: Mapping[str, Signature] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    external: Sequence[ExternalData] = ()
    framework: str = ""
    framework_version: str = ""
    architecture: str = ""
    layers: Sequence[Layer] = ()
    operators: Mapping[str, int] = dataclasses.field(default_factory=dict)
    opsets: Mapping[str, int] = dataclasses.field(default_factory=dict)
    globals: Sequence[Global] = ()
    code: Sequence[str] = ()
    problems: Sequence[str] = ()
    members: Mapping[str, "FileFacts"] = dataclasses.field(default_factory=dict)
    tensor_files: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """Elements of all tensors that can be weights: not those of 64-bit integers, booleans or texts, which count,
        index and mask."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors if tensor.datatype not in _NOT_WEIGHTS)

"""What runs read and made, as values."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

MAX_LINKS = 1000
"""Data inputs, model inputs and model outputs of one run, each."""
MAX_DESCRIBED_BYTES = 24 * 2**20
"""Sources, schemas and profiles of the data inputs of one run, together: what fits into a message with all else."""


CONTEXTS = ("mlflow.data.context", "context")
"""Tags of a data input that tell what a run read it for, for example ``training``; the first that is there."""


LONG = ("source", "schema", "profile")
"""What may be long of a data input, and is told of one run at a time."""


class Role(enum.IntEnum):
    """What a model is to a run."""

    INPUT = 1
    OUTPUT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class DataInput:
    """Data that a run read, described by whoever logged it; name and digest tell one from another.

    ``dataset_version`` is the resource name of the dataset version that it is, empty for data from elsewhere.
    """

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    tags: Mapping[str, str]
    dataset_version: str

    @property
    def described_bytes(self) -> int:
        """How much its description takes."""
        return sum(len(text.encode()) for text in (self.source, self.schema, self.profile))

    @property
    def context(self) -> str:
        """What the run read it for; empty where that is not told."""
        return next((self.tags[key] for key in CONTEXTS if key in self.tags), "")


@dataclasses.dataclass(frozen=True, slots=True)
class ModelLink:
    """A model that a run read or made: a logged model or a version, by resource name; ``step`` is when."""

    model: str
    step: int


@dataclasses.dataclass(frozen=True, slots=True)
class RunLinks:
    """All that a run read and made, each in the order in which it was first told."""

    data_inputs: Sequence[DataInput] = ()
    model_inputs: Sequence[ModelLink] = ()
    model_outputs: Sequence[ModelLink] = ()

    @property
    def entries(self) -> int:
        """How many things there are to tell."""
        data = sum(1 + len(data.tags) for data in self.data_inputs)
        return data + len(self.model_inputs) + len(self.model_outputs)

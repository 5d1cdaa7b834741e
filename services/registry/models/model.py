"""Models and their versions as values."""

import dataclasses
import datetime
import enum
import hashlib
from collections.abc import Mapping, Sequence
from typing import Self

from headwater.names import ArtifactName, ModelName, ModelVersionName, ObjectiveName, RunName
from services.registry.formats import Format, Tensor
from services.registry.values import Json


class Stage(enum.IntEnum):
    """Where a version stands; the numbers are those of ``headwater.artifact.v1.ModelMetadata.Stage``."""

    DEVELOPMENT = 1
    STAGING = 2
    PRODUCTION = 3
    ARCHIVED = 4


EXCLUSIVE = frozenset({Stage.STAGING, Stage.PRODUCTION})
"""Stages that one version of a model holds at most. A version may go from any stage to any other."""


class Comparison(enum.IntEnum):
    """How a value is compared with the bound; the numbers are those of ``Objective.Comparison``."""

    AT_LEAST = 1
    AT_MOST = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """A registered model. ``revision`` grows with every change; ``latest_version`` is 0 while there is none."""

    id: str
    project: str
    project_id: str
    model: str
    display_name: str
    description: str
    create_time: datetime.datetime
    created_by: str
    latest_version: int = 0
    revision: int = 1
    aliases: Mapping[str, int] = dataclasses.field(default_factory=dict)
    stages: Mapping[Stage, int] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> ModelName:
        """Its resource name."""
        return ModelName(self.project, self.model)

    def with_version(self, number: int) -> Self:
        """This model after version ``number`` was registered."""
        return dataclasses.replace(self, latest_version=number, revision=self.revision + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a version; ``path`` is relative to it."""

    path: str
    digest: str
    size_bytes: int
    format: Format
    tensors: Sequence[Tensor]
    properties: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version; only its stage, and with it its revision, ever changes."""

    id: str
    project: str
    project_id: str
    model_id: str
    model: str
    version: int
    description: str
    architecture: str
    framework_name: str
    framework_version: str
    digest: str
    primary_digest: str
    files: Sequence[ModelFile]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    parameter_count: int
    run_id: str
    run: str
    hyperparameters: Mapping[str, Json]
    metrics: Mapping[str, float]
    dataset_versions: Sequence[str]
    pipeline_versions: Sequence[str]
    create_time: datetime.datetime
    created_by: str
    stage: Stage = Stage.DEVELOPMENT
    revision: int = 1

    @property
    def name(self) -> ModelVersionName:
        """Its resource name."""
        return ModelVersionName(self.project, self.model, str(self.version))


@dataclasses.dataclass(frozen=True, slots=True)
class NewVersion:
    """What a caller says of a version to be; ``files`` are artifacts by path."""

    files: Mapping[str, ArtifactName]
    run: RunName | None
    framework_name: str
    framework_version: str
    architecture: str
    description: str
    hyperparameters: Mapping[str, Json]


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """One move between stages; ``sequence`` tells which of two is older."""

    version: int
    from_stage: Stage
    to_stage: Stage
    actor: str
    time: datetime.datetime
    comment: str
    sequence: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class NewObjective:
    """What a caller says of an objective to be."""

    objective: str
    stage: Stage
    metric: str
    comparison: Comparison
    bound: float


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """A bound that a version must meet before it may enter ``stage``."""

    id: str
    model_id: str
    objective: str
    stage: Stage
    metric: str
    comparison: Comparison
    bound: float
    create_time: datetime.datetime
    created_by: str

    def name_in(self, model: ModelName) -> ObjectiveName:
        """Its resource name."""
        return ObjectiveName(model.project, model.model, self.objective)


def digest_over(files: Sequence[ModelFile]) -> str:
    """The digest of a version: SHA-256 of its files' ``path NUL digest LF`` lines, sorted."""
    lines = sorted(f"{file.path}\0{file.digest}\n" for file in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"

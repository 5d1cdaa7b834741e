"""Versions of models as values."""

import dataclasses
import datetime
import hashlib
from collections.abc import Mapping, Sequence

from headwater.names import ArtifactName, ModelVersionName, RunName
from services.registry.formats import Format, Tensor
from services.registry.models.model import Stage
from services.registry.values import Json


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


def digest_over(files: Sequence[ModelFile]) -> str:
    """The digest of a version: SHA-256 of its files' ``path NUL digest LF`` lines, sorted."""
    lines = sorted(f"{file.path}\0{file.digest}\n" for file in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"

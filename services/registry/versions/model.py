"""Versions of models as values."""

import dataclasses
import datetime
import enum
import hashlib
from collections.abc import Mapping, Sequence
from typing import Self, TypeAlias

from headwater.names import ArtifactName, LoggedModelName, ModelName, ModelVersionName, RunName
from headwater.semver import SemVer
from services.registry.formats import FileFacts, Format, Tensor
from services.registry.models.model import Stage
from services.registry.states import State
from services.registry.values import Json
from services.registry.versions.preprocessing import Preprocessing

Which: TypeAlias = int | SemVer
"""Which version of a model: by its number, or by its semantic version."""


class View(enum.Enum):
    """How much is told of a version, and read for that."""

    BASIC = "everything but what its files hold"
    FULL = "everything"


@dataclasses.dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a version; ``path`` is relative to it. In a BASIC view ``facts`` say the format and nothing else."""

    path: str
    digest: str
    size_bytes: int
    facts: FileFacts

    @property
    def format(self) -> Format:
        """What the content is."""
        return self.facts.format


@dataclasses.dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version. Its files and what follows from them never change; what is said of it and its states do, and with
    them its revision.

    Attributes:
        inputs, outputs: of the file that stands for it, ``primary_digest``.
        user_metadata: what its maker said, typed (see :mod:`services.registry.versions.user_metadata`).
        dangling_links: what its maker named and nobody knows.
        problems: what makes its files unsafe to load; with any it is never served.
        model_state, model_replacement, model_archived_name: of its model.
        preprocessing: the pipeline that prepares what it is asked.
        breaking_changes: how its signature breaks those who call the version before it.
        weight: how many small values its files hold; pages of versions are bounded by it.
    """

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
    update_time: datetime.datetime
    weight: int = 0
    format: Format = Format.UNSPECIFIED
    semantic_version: SemVer | None = None
    task: str = ""
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Sequence[str] = ()
    user_metadata: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    dangling_links: Sequence[str] = ()
    problems: Sequence[str] = ()
    breaking_changes: Sequence[str] = ()
    source: str = ""
    logged_model: str = ""
    preprocessing: Preprocessing | None = None
    aliases: Sequence[str] = ()
    state: State = State.ACTIVE
    replacement: str = ""
    stage: Stage = Stage.DEVELOPMENT
    revision: int = 1
    model_state: State = State.ACTIVE
    model_replacement: str = ""
    model_archived_name: str = ""

    @property
    def name(self) -> ModelVersionName:
        """Its resource name, by number."""
        return ModelVersionName(self.project, self.model, str(self.version))

    @property
    def known_as(self) -> str:
        """The name that people know its model by, also when that is archived and its id in ``name``."""
        return self.model_archived_name or self.model

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def warning(self) -> str:
        """What whoever uses it should know (M-05); empty for nothing."""
        if self.model_state is State.DEPRECATED:
            return _deprecated(ModelName(self.project, self.model), self.model_replacement)
        return _deprecated(self.name, self.replacement) if self.state is State.DEPRECATED else ""

    def changed(self, time: datetime.datetime, **changes: object) -> Self:
        """This version after a change of its states or of what is said of it."""
        return dataclasses.replace(self, **changes, update_time=time, revision=self.revision + 1)  # type: ignore[arg-type]

    def basic(self) -> Self:
        """This version in a BASIC view: as the record of changes has it."""
        files = [dataclasses.replace(file, facts=FileFacts(format=file.format)) for file in self.files]
        return dataclasses.replace(self, files=files)


@dataclasses.dataclass(frozen=True, slots=True)
class NewVersion:
    """What a caller says of a version to be; ``files`` are artifacts by path. ``user_metadata`` is not typed yet."""

    files: Mapping[str, ArtifactName]
    run: RunName | None
    framework_name: str
    framework_version: str
    architecture: str
    description: str
    hyperparameters: Mapping[str, Json]
    semantic_version: str = ""
    user_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    task: str = ""
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: Sequence[str] = ()
    source: str = ""
    logged_model: LoggedModelName | None = None
    dataset_versions: Sequence[str] = ()
    preprocessing: Preprocessing | None = None


def digest_over(files: Sequence[ModelFile]) -> str:
    """The digest of a version: SHA-256 of its files' ``path NUL digest LF`` lines, sorted."""
    lines = sorted(f"{file.path}\0{file.digest}\n" for file in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def _deprecated(name: ModelName | ModelVersionName, replacement: str) -> str:
    return f"{name} is deprecated" + (f": use {replacement} instead." if replacement else ".")

"""What people type for what services name: ``digits@v1.0.0`` for ``projects/default/datasets/digits/versions/v1.0.0``.

A reference is a full resource name, or ``name`` or ``name@version`` within a project. Of datasets, ``digits@main`` is a
branch, ``digits@best`` a tag, ``digits@0f3c21ab`` a commit by its first digits, and
``s3://datasets/digits/v1.0.0/train.tar`` a split. Of models, ``digits@production`` is a stage and ``digits@champion``
an alias.
"""

import dataclasses
import re

from headwater.errors import NotFound
from headwater.names import (
    DEFAULT_PROJECT,
    ArtifactName,
    BranchName,
    CommitName,
    DatasetName,
    DatasetVersionName,
    DatastoreName,
    DeploymentName,
    IncidentName,
    InvalidName,
    ModelName,
    ModelVersionName,
    PipelineName,
    PipelineVersionName,
    ProjectName,
    RunName,
    TagName,
    check_segment,
    split_name,
)

_DATASET_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_MODEL_VERSION = re.compile(r"v?[0-9]+|v?[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_SPLIT_URI = re.compile(r"s3://datasets/([^/]+)/([^/]+)/([^/]+)\.tar")
_KINDS: dict[str, type["DatasetVersionName | CommitName | BranchName | TagName"]] = {
    "versions": DatasetVersionName,
    "commits": CommitName,
    "branches": BranchName,
    "tags": TagName,
}


class NoVersionYet(NotFound):
    """The thing exists and has no version."""

    reason = "NO_VERSION_YET"


def project(text: str = DEFAULT_PROJECT) -> ProjectName:
    """``vision`` or ``projects/vision``."""
    return ProjectName.parse(text) if "/" in text else ProjectName(text)


def dataset(text: str, project: str = DEFAULT_PROJECT) -> DatasetName:
    """``digits`` or a full name."""
    return DatasetName.parse(text) if "/" in text else DatasetName(project, text)


def dataset_version(text: str, project: str = DEFAULT_PROJECT) -> DatasetName | DatasetVersionName:
    """``digits@v1.0.0``; ``digits`` alone is the dataset, whose latest version the caller looks up."""
    if "/versions/" in text:
        return DatasetVersionName.parse(text)
    name, version = _split(text)
    return DatasetVersionName(project, name, version) if version else dataset(text, project)


@dataclasses.dataclass(frozen=True, slots=True)
class BranchOrTag:
    """A word after ``@``: a branch or, if there is none of that name, a tag. The two share their names."""

    dataset: DatasetName
    word: str


def dataset_revision(
    text: str, project: str = DEFAULT_PROJECT
) -> DatasetName | DatasetVersionName | CommitName | BranchName | TagName | BranchOrTag:
    """Whatever leads to rows: ``digits``, ``digits@v1.0.0``, ``digits@main``, ``digits@best``, ``digits@0f3c21ab``.

    Raises:
        InvalidName
    """
    if "/" in text:
        kind = _KINDS.get(text.split("/")[4]) if text.count("/") == 5 else None
        return (kind or DatasetName).parse(text)
    name, at, word = text.partition("@")
    parent = dataset(name, project)
    if not at:
        return parent
    if _DATASET_VERSION.fullmatch(word):
        return DatasetVersionName(project, name, word)
    if _COMMIT.fullmatch(word):
        return CommitName(project, name, word)
    return BranchOrTag(parent, check_segment(word, "version, branch or tag"))


def revision_of(dataset: DatasetName, text: str) -> str:
    """A revision of this dataset, as a reference: ``main`` and ``digits@main`` are both ``digits@main``.

    Raises:
        InvalidName: it says another dataset.
    """
    if "/" in text:
        is_its_own = text.startswith(f"{dataset}/")
    else:
        name, at, _ = text.partition("@")
        if not at:
            return f"{dataset.dataset}@{text}"
        is_its_own = name == dataset.dataset
    if not is_its_own:
        raise InvalidName(f"{text} is no version, branch, tag or commit of {dataset.dataset}.", field="revision")
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class SplitReference:
    """A split of a version."""

    version: DatasetVersionName
    split: str

    @property
    def uri(self) -> str:
        """Its address, ``s3://datasets/digits/v1.0.0/train.tar``, for a version of the project ``default``."""
        return f"s3://datasets/{self.version.dataset}/{self.version.version}/{self.split}.tar"


def split(uri: str, project: str = DEFAULT_PROJECT) -> SplitReference:
    """``s3://datasets/digits/v1.0.0/train.tar``: the split ``train`` of that version; ``val.tar`` is ``validation``.

    Raises:
        InvalidName
    """
    match = _SPLIT_URI.fullmatch(uri)
    if match is None:
        raise InvalidName("A split's address must look like s3://datasets/digits/v1.0.0/train.tar.", field="uri")
    name, version, written = match.groups()
    return SplitReference(DatasetVersionName(project, name, version), split_name(written))


def is_split(text: str) -> bool:
    """Whether a reference is meant to be a split's address."""
    return text.startswith("s3://")


def split_within(text: str, wanted: str = "", project: str = DEFAULT_PROJECT) -> tuple[str, str]:
    """What leads to rows, and which of its splits: ``digits@v1.0.0`` and ``train``, or a split's address alone.

    Raises:
        InvalidName: no split is said, or two that differ.
    """
    if not is_split(text):
        if not wanted:
            raise InvalidName(f"Say which split of {text}: train, for example.", field="split")
        return text, wanted
    said = split(text, project)
    if wanted and split_name(wanted) != said.split:
        raise InvalidName(f"{text} is the split {said.split} and not {wanted}.", field="split")
    return str(said.version), said.split


def pipeline_version(text: str, project: str = DEFAULT_PROJECT) -> PipelineName | PipelineVersionName:
    """``digits-prep@1.0.0``; ``digits-prep`` alone is the pipeline, whose latest version the caller looks up."""
    if "/versions/" in text:
        return PipelineVersionName.parse(text)
    name, version = _split(text)
    if version:
        return PipelineVersionName(project, name, version)
    return PipelineName.parse(text) if "/" in text else PipelineName(project, text)


def model(text: str, project: str = DEFAULT_PROJECT) -> ModelName:
    """``digits`` or a full name."""
    return ModelName.parse(text) if "/" in text else ModelName(project, text)


def model_version(text: str, project: str = DEFAULT_PROJECT) -> ModelVersionName:
    """``digits@3`` or a full name.

    Raises:
        InvalidName: when no version is given; a version of a model is never guessed.
    """
    if "/" in text:
        return ModelVersionName.parse(text)
    name, version = _split(text)
    if not version:
        raise InvalidName(f"Say which version: {name}@1, for example.", field="version")
    return ModelVersionName(project, name, version)


def model_or_version(text: str, project: str = DEFAULT_PROJECT) -> ModelName | ModelVersionName:
    """``digits`` is the model, ``digits@3`` and ``digits@v1.2.3`` are versions of it."""
    return model_version(text, project) if "@" in text or "/versions/" in text else model(text, project)


@dataclasses.dataclass(frozen=True, slots=True)
class StageOrAlias:
    """A word after the name of a model: a stage or an alias, which point to a version each."""

    model: ModelName
    word: str


def model_revision(text: str, project: str = DEFAULT_PROJECT) -> ModelVersionName | StageOrAlias:
    """Whatever leads to a version of a model: ``digits@3``, ``digits@v1.2.3``, ``digits@production``,
    ``digits@champion``; or after a full name, ``projects/vision/models/digits@production``.

    Raises:
        InvalidName
    """
    if "/versions/" in text:
        return ModelVersionName.parse(text)
    name, word = _split(text)
    parent = model(name, project)
    if not word:
        raise InvalidName(f"Say which version: {text}@1 or {text}@production, for example.", field="version")
    if _MODEL_VERSION.fullmatch(word):
        return ModelVersionName(parent.project, parent.model, word)
    return StageOrAlias(parent, check_segment(word, "version, stage or alias"))


def deployment(text: str, project: str = DEFAULT_PROJECT) -> DeploymentName:
    """``digits`` or a full name."""
    return DeploymentName.parse(text) if "/" in text else DeploymentName(project, text)


def incident(text: str, project: str = DEFAULT_PROJECT) -> IncidentName:
    """The id of an incident, or a full name."""
    return IncidentName.parse(text) if "/" in text else IncidentName(project, text)


def run(text: str, project: str = DEFAULT_PROJECT) -> RunName:
    """The id of a run, or a full name."""
    return RunName.parse(text) if "/" in text else RunName(project, text)


def artifact(text: str, project: str = DEFAULT_PROJECT) -> ArtifactName:
    """The digest of an artifact, with or without ``sha256:``, or a full name."""
    return ArtifactName.parse(text) if "/" in text else ArtifactName(project, text.removeprefix("sha256:"))


def datastore(text: str, project: str = DEFAULT_PROJECT) -> DatastoreName:
    """``lake`` or a full name."""
    return DatastoreName.parse(text) if "/" in text else DatastoreName(project, text)


def _split(text: str) -> tuple[str, str]:
    name, _, version = text.partition("@")
    return name, version

"""What people type for what services name: ``digits@v1.0.0`` for ``projects/default/datasets/digits/versions/v1.0.0``.

A reference is a full resource name, or ``name`` or ``name@version`` within a project.
"""

from headwater.errors import NotFound
from headwater.names import (
    DEFAULT_PROJECT,
    DatasetName,
    DatasetVersionName,
    DeploymentName,
    InvalidName,
    ModelName,
    ModelVersionName,
    PipelineName,
    PipelineVersionName,
    ProjectName,
)


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


def deployment(text: str, project: str = DEFAULT_PROJECT) -> DeploymentName:
    """``digits`` or a full name."""
    return DeploymentName.parse(text) if "/" in text else DeploymentName(project, text)


def _split(text: str) -> tuple[str, str]:
    name, _, version = text.partition("@")
    return name, version

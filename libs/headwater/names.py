"""Resource names (AIP-122): ``projects/p/models/digits/versions/3``.

Every name a user types goes through here before it goes anywhere else, so that no name is ever a path, a query or
another alphabet's twin of a name (promise 13). A name is parsed once at the edge and travels as a value after that.

    DatasetVersionName.parse("projects/default/datasets/digits/versions/v1.0.0").dataset == "digits"
"""

import dataclasses
import functools
import re
from typing import ClassVar, Self

from headwater.errors import InvalidArgument

DEFAULT_PROJECT = "default"

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", re.ASCII)
_VERSION = re.compile(r"v?(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8})){0,2}", re.ASCII)


class InvalidName(InvalidArgument):
    """The text does not have the form of the resource name that is wanted here."""

    reason = "INVALID_NAME"
    text = "Not a valid name."


def check_segment(value: str, field: str = "name") -> str:
    """Return ``value`` if it is a legal user-given name: ``[A-Za-z0-9][A-Za-z0-9_-]*``, at most 255 characters.

    Raises:
        InvalidName: naming ``field``.
    """
    if not _SEGMENT.fullmatch(value):
        raise InvalidName(
            f"{field} must be 1 to 255 letters, digits, '_' or '-', beginning with a letter or digit.", field=field
        )
    return value


def check_version(value: str, field: str = "version") -> str:
    """Return ``value`` if it is a legal version: ``3`` or ``v1.2.3`` (each number below 10^9, no leading zero).

    Raises:
        InvalidName: naming ``field``.
    """
    if not _VERSION.fullmatch(value):
        raise InvalidName(f"{field} must look like 3 or v1.2.3.", field=field)
    return value


SPLIT_ALIASES = {"val": "validation", "valid": "validation", "holdback": "holdout", "hold-back": "holdout"}
"""Other words for splits: a folder ``val`` holds the split ``validation``."""


def split_name(text: str) -> str:
    """The split that ``text`` means: the name that it is another word for, or the same.

    Raises:
        InvalidName: not a legal name.
    """
    return SPLIT_ALIASES.get(text) or check_segment(text, "split")


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceName:
    """A parsed resource name; ``str()`` gives the text back. Subclasses set ``pattern`` and one field per variable."""

    pattern: ClassVar[str]

    @classmethod
    def parse(cls, text: str, field: str = "name") -> Self:
        """Parse ``text`` or raise InvalidName, naming ``field`` and the pattern that was expected."""
        literals, variables = _form(cls.pattern)
        parts = text.split("/")
        if len(parts) == len(literals) + len(variables) and parts[0::2] == literals:
            return cls(*parts[1::2])
        raise InvalidName(f"{field} must look like {cls.pattern}.", field=field, pattern=cls.pattern)

    def __post_init__(self) -> None:
        for variable in _form(self.pattern)[1]:
            check = check_version if variable == "version" else check_segment
            check(getattr(self, variable), variable)

    def __str__(self) -> str:
        literals, variables = _form(self.pattern)
        return "/".join(
            f"{literal}/{getattr(self, variable)}" for literal, variable in zip(literals, variables, strict=True)
        )


@functools.cache
def _form(pattern: str) -> tuple[list[str], list[str]]:
    """The words of a pattern, and the variables that each of them is followed by, which are the fields in their order.

    Taken apart once: the registry alone reads and writes thousands of names in some of its answers.
    """
    parts = pattern.split("/")
    return parts[0::2], [variable[1:-1] for variable in parts[1::2]]


@dataclasses.dataclass(frozen=True, slots=True)
class ProjectName(ResourceName):
    """A workspace: the scope in which names are unique."""

    pattern = "projects/{project}"
    project: str


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetName(ResourceName):
    """A dataset."""

    pattern = "projects/{project}/datasets/{dataset}"
    project: str
    dataset: str


@dataclasses.dataclass(frozen=True, slots=True)
class DatasetVersionName(ResourceName):
    """One immutable version of a dataset."""

    pattern = "projects/{project}/datasets/{dataset}/versions/{version}"
    project: str
    dataset: str
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class UploadName(ResourceName):
    """Rows on their way into a dataset, not yet committed."""

    pattern = "projects/{project}/datasets/{dataset}/uploads/{upload}"
    project: str
    dataset: str
    upload: str


@dataclasses.dataclass(frozen=True, slots=True)
class CommitName(ResourceName):
    """One commit of a dataset."""

    pattern = "projects/{project}/datasets/{dataset}/commits/{commit}"
    project: str
    dataset: str
    commit: str


@dataclasses.dataclass(frozen=True, slots=True)
class BranchName(ResourceName):
    """A line of commits of a dataset."""

    pattern = "projects/{project}/datasets/{dataset}/branches/{branch}"
    project: str
    dataset: str
    branch: str


@dataclasses.dataclass(frozen=True, slots=True)
class TagName(ResourceName):
    """A name of a commit that does not move."""

    pattern = "projects/{project}/datasets/{dataset}/tags/{tag}"
    project: str
    dataset: str
    tag: str


@dataclasses.dataclass(frozen=True, slots=True)
class ViewName(ResourceName):
    """A filter on a dataset version."""

    pattern = "projects/{project}/datasets/{dataset}/versions/{version}/views/{view}"
    project: str
    dataset: str
    version: str
    view: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProfileName(ResourceName):
    """A profile of a dataset version."""

    pattern = "projects/{project}/datasets/{dataset}/versions/{version}/profiles/{profile}"
    project: str
    dataset: str
    version: str
    profile: str


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointName(ResourceName):
    """A dataset version at one point in time."""

    pattern = "projects/{project}/datasets/{dataset}/versions/{version}/checkpoints/{checkpoint}"
    project: str
    dataset: str
    version: str
    checkpoint: str


@dataclasses.dataclass(frozen=True, slots=True)
class DatastoreName(ResourceName):
    """A place outside Headwater that rows are read from."""

    pattern = "projects/{project}/datastores/{datastore}"
    project: str
    datastore: str


@dataclasses.dataclass(frozen=True, slots=True)
class PipelineName(ResourceName):
    """A preprocessing pipeline."""

    pattern = "projects/{project}/pipelines/{pipeline}"
    project: str
    pipeline: str


@dataclasses.dataclass(frozen=True, slots=True)
class PipelineVersionName(ResourceName):
    """One immutable version of a preprocessing pipeline."""

    pattern = "projects/{project}/pipelines/{pipeline}/versions/{version}"
    project: str
    pipeline: str
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class PreprocessingJobName(ResourceName):
    """One application of a pipeline version to a dataset version."""

    pattern = "projects/{project}/preprocessingJobs/{job}"
    project: str
    job: str


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingJobName(ResourceName):
    """A training job."""

    pattern = "projects/{project}/trainingJobs/{job}"
    project: str
    job: str


@dataclasses.dataclass(frozen=True, slots=True)
class RunName(ResourceName):
    """One execution, with its parameters and metrics."""

    pattern = "projects/{project}/runs/{run}"
    project: str
    run: str


@dataclasses.dataclass(frozen=True, slots=True)
class RunArtifactName(ResourceName):
    """Something that a run made."""

    pattern = "projects/{project}/runs/{run}/artifacts/{artifact}"
    project: str
    run: str
    artifact: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExperimentName(ResourceName):
    """Runs that belong together."""

    pattern = "projects/{project}/experiments/{experiment}"
    project: str
    experiment: str


@dataclasses.dataclass(frozen=True, slots=True)
class LoggedModelName(ResourceName):
    """A model that a run made, before it is registered as a version."""

    pattern = "projects/{project}/loggedModels/{logged_model}"
    project: str
    logged_model: str


@dataclasses.dataclass(frozen=True, slots=True)
class ArtifactUploadName(ResourceName):
    """Bytes on their way in."""

    pattern = "projects/{project}/artifactUploads/{artifact_upload}"
    project: str
    artifact_upload: str


@dataclasses.dataclass(frozen=True, slots=True)
class ArtifactName(ResourceName):
    """Immutable bytes, named by their SHA-256 in lower-case hex."""

    pattern = "projects/{project}/artifacts/{artifact}"
    project: str
    artifact: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModelName(ResourceName):
    """A registered model: the collection of its versions."""

    pattern = "projects/{project}/models/{model}"
    project: str
    model: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModelVersionName(ResourceName):
    """One immutable version of a model."""

    pattern = "projects/{project}/models/{model}/versions/{version}"
    project: str
    model: str
    version: str


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectiveName(ResourceName):
    """A bound that a model version must meet before it may enter a stage."""

    pattern = "projects/{project}/models/{model}/objectives/{objective}"
    project: str
    model: str
    objective: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalDatasetName(ResourceName):
    """Data outside of Headwater that lineage tells of; the last segment is derived from what others call it."""

    pattern = "projects/{project}/externalDatasets/{external_dataset}"
    project: str
    external_dataset: str


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalJobName(ResourceName):
    """A job outside of Headwater that lineage tells of; the last segment is derived from what others call it."""

    pattern = "projects/{project}/externalJobs/{external_job}"
    project: str
    external_job: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeploymentName(ResourceName):
    """A served model name."""

    pattern = "projects/{project}/deployments/{deployment}"
    project: str
    deployment: str


@dataclasses.dataclass(frozen=True, slots=True)
class RolloutName(ResourceName):
    """A version's taking over of a deployment by steps; the last segment is made by the system."""

    pattern = "projects/{project}/deployments/{deployment}/rollouts/{rollout}"
    project: str
    deployment: str
    rollout: str


@dataclasses.dataclass(frozen=True, slots=True)
class ConversionJobName(ResourceName):
    """A job that converts or tunes a model version; the last segment is made by the system."""

    pattern = "projects/{project}/conversionJobs/{job}"
    project: str
    job: str


@dataclasses.dataclass(frozen=True, slots=True)
class InferenceRecordName(ResourceName):
    """What was recorded of one inference request; the last segment is the request id."""

    pattern = "projects/{project}/inferenceRecords/{record}"
    project: str
    record: str


@dataclasses.dataclass(frozen=True, slots=True)
class IncidentName(ResourceName):
    """One time that a deployment's defence acted; the last segment is the incident's id."""

    pattern = "projects/{project}/incidents/{incident}"
    project: str
    incident: str

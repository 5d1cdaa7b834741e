"""The lineage graph as values: nodes are named by resource names, edges go from what went in to what came out."""

import dataclasses
import enum
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headwater.names import (
    ArtifactName,
    CheckpointName,
    DatasetVersionName,
    DeploymentName,
    ExternalDatasetName,
    ExternalJobName,
    InferenceRecordName,
    InvalidName,
    ModelVersionName,
    PipelineVersionName,
    ResourceName,
    RunName,
)
from services.registry.values import Json

DEFAULT_NODES = 1000
MAX_NODES = 10_000
MAX_EDGES = 5000
DEFAULT_DEPTH = 20
MAX_DEPTH = 100


class NodeKind(enum.IntEnum):
    """What a node is; the numbers are those of ``headwater.registry.v1.LineageNodeKind``."""

    DATA = 1
    EXECUTABLE = 2
    MODEL_VERSION = 3
    RUN = 4
    DEPLOYMENT = 5
    RECEIPT = 6


class Role(enum.IntEnum):
    """What part the first plays for the second; numbers as in ``headwater.artifact.v1.ArtifactConnection.Role``."""

    INPUT = 1
    EXECUTABLE = 2
    OUTPUT = 3


class Direction(enum.Enum):
    """Which way to walk."""

    UPSTREAM = "to what went in"
    DOWNSTREAM = "to what came out"


_WORDS: Mapping[NodeKind, tuple[str, str]] = {  # in the order in which they are told
    NodeKind.DEPLOYMENT: ("deployment", "deployments"),
    NodeKind.MODEL_VERSION: ("model version", "model versions"),
    NodeKind.EXECUTABLE: ("executable", "executables"),
    NodeKind.DATA: ("dataset version", "dataset versions"),
    NodeKind.RUN: ("run", "runs"),
    NodeKind.RECEIPT: ("receipt", "receipts"),
}
IN_ORDER = tuple(_WORDS)
"""The kinds in the order in which dependents are told."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """What has no table of its own: data, something that executes, a deployment, a receipt.

    ``digest`` is empty for a deployment, which is no content and can change: its ``revision`` grows then; and for what
    is outside of Headwater. ``details`` are the other fields of its message, in protobuf's JSON form.
    """

    name: str
    kind: NodeKind
    id: str
    digest: str
    details: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    revision: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class NewEdge:
    """An edge to be; ``run`` is empty where no run is known to have made it so."""

    first: str
    second: str
    run: str
    role: Role


class Edge(NamedTuple):
    """``first`` went into ``second``, in ``run``. A tuple, since answers have thousands."""

    id: str
    project_id: str
    first: str
    second: str
    run: str
    role: Role


class Reached(NamedTuple):
    """A node that a walk has come to, and over how many edges. ``number`` is the store's own; 0: it is in no edge."""

    name: str
    kind: NodeKind
    distance: int
    number: int


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """Where a walk has come to: by distance, then by name. ``truncated`` says that the graph goes on."""

    nodes: Sequence[Reached]
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Dependents:
    """What depends on it of one kind: how many, and the names of the nearest."""

    kind: NodeKind
    count: int
    names: Sequence[str]

    @property
    def words(self) -> str:
        """For example ``3 deployments``."""
        one, many = _WORDS[self.kind]
        if self.kind is NodeKind.EXECUTABLE and all(map(is_pipeline_version, self.names)):
            one, many = "pipeline", "pipelines"
        return f"{self.count:,} {one if self.count == 1 else many}"

    def with_names(self, at_most: int) -> "Dependents":
        """They with the names of the nearest only."""
        return dataclasses.replace(self, names=self.names[:at_most])


@dataclasses.dataclass(frozen=True, slots=True)
class Count:
    """How much depends on something, by kind; ``truncated`` says that there is more."""

    dependents: Sequence[Dependents]
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Connections:
    """Nodes and edges that are added together."""

    nodes: Sequence[Node]
    edges: Sequence[NewEdge]


_KINDS: Mapping[type[ResourceName], NodeKind] = {
    DatasetVersionName: NodeKind.DATA,
    CheckpointName: NodeKind.DATA,
    ExternalDatasetName: NodeKind.DATA,
    PipelineVersionName: NodeKind.EXECUTABLE,
    ArtifactName: NodeKind.EXECUTABLE,
    ExternalJobName: NodeKind.EXECUTABLE,
    ModelVersionName: NodeKind.MODEL_VERSION,
    RunName: NodeKind.RUN,
    DeploymentName: NodeKind.DEPLOYMENT,
    InferenceRecordName: NodeKind.RECEIPT,
}
# By collection and number of segments: a graph has many names, and each is to be tried as one thing only.
_RESOURCES = {(resource.pattern.split("/")[2], resource.pattern.count("/")): resource for resource in _KINDS}


_VERSIONED = re.compile(r"projects/[^/]+/(datasets|models|pipelines)/[^/]+")


def kind_of(name: str) -> NodeKind:
    """What ``name`` names.

    Raises:
        InvalidName: nothing that can be in the graph.
    """
    collection = name.split("/", 3)[2:3]
    resource = _RESOURCES.get((collection[0], name.count("/"))) if collection else None
    if resource is None and _VERSIONED.fullmatch(name):
        raise InvalidName(f"Say which version of it: {name}/versions/….", field="name", name=name)
    if resource is None:
        raise InvalidName(
            "Lineage joins dataset versions, pipeline versions, artifacts, model versions, runs, deployments, receipts "
            "and data and jobs outside of Headwater.",
            field="name",
            name=name,
        )
    resource.parse(name)
    return _KINDS[resource]


def is_dataset_version(name: str) -> bool:
    """Whether ``name`` names a dataset version, or a copy of one."""
    return kind_of(name) is NodeKind.DATA and "/datasets/" in name


def is_pipeline_version(name: str) -> bool:
    """Whether ``name`` names a version of a preprocessing pipeline."""
    return kind_of(name) is NodeKind.EXECUTABLE and "/pipelines/" in name

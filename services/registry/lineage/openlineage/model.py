"""What OpenLineage events say, as values, and how their names and ours translate."""

import dataclasses
import datetime
import enum
import hashlib
import json
import re
from collections.abc import Mapping

from headwater.names import ExternalDatasetName, ExternalJobName, InvalidName, ProjectName
from services.registry.lineage.model import kind_of
from services.registry.values import Json

OURS = "headwater://"
"""What the namespaces of our projects begin with: ``headwater://default`` has ``datasets/digits/versions/3`` in it."""
CONNECTIONS = "connections"
"""The name of the job that stands for edges which no run made."""
_UNFIT = re.compile(r"[^A-Za-z0-9]+", re.ASCII)


class EventType(enum.Enum):
    """What an event says of its run."""

    START = "START"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    ABORT = "ABORT"
    FAIL = "FAIL"
    OTHER = "OTHER"


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """Data as an event tells of it; ``version`` is empty where it is not told. ``schema`` is JSON, without the last
    ``left_out`` fields."""

    namespace: str
    name: str
    version: str = ""
    description: str = ""
    source: str = ""
    schema: str = ""
    left_out: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What ran."""

    namespace: str
    name: str
    description: str = ""
    repository: str = ""
    version: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class RunPart:
    """What an event says of its run; ``executables`` are names of ours that ran in it beside the job."""

    id: str
    parent_id: str = ""
    failure: str = ""
    executables: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """An event of a run or, without one, of a job; without a job as well, of what is the only one of ``inputs``."""

    type: EventType
    time: datetime.datetime
    run: RunPart | None
    job: Job | None
    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]


def our_name(namespace: str, name: str) -> str:
    """The resource name that these stand for; empty if it is none of ours."""
    if not namespace.startswith(OURS):
        return ""
    full = f"projects/{namespace.removeprefix(OURS)}/{name}"
    try:
        kind_of(full)
    except InvalidName:
        return ""
    return full


def their_name(name: str) -> tuple[str, str]:
    """Namespace and name by which others know what is called ``name`` here."""
    _, project, rest = name.split("/", 2)
    return f"{OURS}{project}", rest


def name_elsewhere(details: Mapping[str, Json]) -> tuple[str, str] | None:
    """Namespace and name by which an event told of the node with these details; None where none did."""
    said = details.get("annotations")
    if not isinstance(said, Mapping) or not {"openlineage.namespace", "openlineage.name"} <= said.keys():
        return None
    return str(said["openlineage.namespace"]), str(said["openlineage.name"])


def external_dataset(parent: ProjectName, dataset: Dataset) -> str:
    """The name of data that Headwater does not hold. Of data whose version is told, each version is a node of its own:
    what was made of one was not made of the next."""
    return str(ExternalDatasetName(parent.project, _segment(dataset.namespace, dataset.name, dataset.version)))


def external_job(parent: ProjectName, job: Job) -> str:
    """The name of a job that is not Headwater's."""
    return str(ExternalJobName(parent.project, _segment(job.namespace, job.name)))


def _segment(namespace: str, name: str, *more: str) -> str:
    """Readable, legal, and another one for all that is called otherwise: the digest tells."""
    digest = hashlib.sha256(json.dumps([namespace, name, *more]).encode()).hexdigest()[:32]
    readable = _UNFIT.sub("-", name).strip("-")[-100:].strip("-")
    return f"{readable}-{digest}" if readable else digest

"""The way back from one prediction: request → model version → run → dataset versions, code, pipelines → source files.

    print(trace(connection, "0192f0c4-…").name)

The registry answers the graph, the inference service the request's record and the dataset service the files; this
module puts them together as one tree. Every node carries the digest of what it stands for.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set

from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, InferenceRecordName
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One thing on the way back, and what went into it."""

    kind: str
    """``request``, ``model``, ``run``, ``data``, ``executable``, ``deployment``, ``answers`` or ``file``."""
    name: str
    """Its resource name; for a file its path."""
    digest: str
    """``sha256:`` and 64 hex digits; empty for a run, which is an event and not content."""
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What else to show, in order."""
    origins: tuple["Node", ...] = ()
    """What went into it; looking downstream, what came of it. A thing that is met again is expanded only once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sources:
    """The files that one dataset version was made from: all of them counted, the first of them listed."""

    files: tuple[datasets_pb2.SourceFile, ...]
    file_count: int
    digest: str


def trace(connection: Connection, request_id: str, *, max_files: int = 10, project: str = DEFAULT_PROJECT) -> Node:
    """Walk back from the inference request ``request_id``, listing at most ``max_files`` files of each dataset version.

    Raises:
        NotFound: when no record of the request exists.
    """
    records = deployments_pb2_grpc.InferenceRecordServiceStub(connection.channel("inference"))
    name = InferenceRecordName(project, request_id)
    record = records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=str(name)))
    lineage = upstream(connection, record.model_version)
    return assemble(record, lineage, _sources(connection, lineage, max_files))


def upstream(connection: Connection, name: str) -> lineage_pb2.Lineage:
    """Everything that went into ``name``: a model version, a dataset version or a run."""
    request = lineage_pb2.GetLineageRequest(name=name, direction=lineage_pb2.GetLineageRequest.DIRECTION_UPSTREAM)
    return lineage_pb2_grpc.LineageServiceStub(connection.channel("registry")).GetLineage(request)


def assemble(
    record: deployments_pb2.InferenceRecord, lineage: lineage_pb2.Lineage, sources: Mapping[str, Sources]
) -> Node:
    """The tree, from the parts that the services answered. ``sources`` is by dataset version."""
    details = {
        "time": record.request_time.ToJsonString(),
        "latency": f"{record.latency_ms:.1f} ms",
        "response": record.response_digest,
        "deployment": record.deployment,
    }
    return Node("request", record.name, record.request_digest, details, (tree(lineage, record.model_version, sources),))


def tree(
    lineage: lineage_pb2.Lineage,
    start: str,
    sources: Mapping[str, Sources] | None = None,
    *,
    downstream: bool = False,
) -> Node:
    """The graph as a tree that begins at ``start`` and goes to what went in or, downstream, to what came of it.

    What can be reached by several ways is expanded where it is nearest to ``start``; elsewhere only its name is told.
    """
    artifacts = {artifact_name(artifact): artifact for artifact in lineage.artifacts}
    beyond: dict[str, set[str]] = defaultdict(set)
    for connection in lineage.connections:
        for first, second in _arcs(connection):
            near, far = (first, second) if downstream else (second, first)
            beyond[near].add(far)
    parents = _nearest(start, beyond)
    shown: set[str] = set()

    def expand(name: str, parent: str) -> Node:
        node = describe(name, artifacts.get(name))
        if parents[name] != parent:
            where = "above" if name in shown else "below"
            return dataclasses.replace(node, details={**node.details, "shown": where})
        shown.add(name)
        below = [expand(each, name) for each in sorted(beyond[name])]
        return dataclasses.replace(node, origins=(*below, *_files((sources or {}).get(name))))

    return expand(start, "")


def _nearest(start: str, beyond: Mapping[str, Set[str]]) -> Mapping[str, str]:
    """Of everything that can be reached from ``start`` what it is next to on the shortest way; of ``start`` nothing."""
    parents, level = {start: ""}, [start]
    while level:
        steps = [(near, far) for near in level for far in sorted(beyond.get(near, ()))]
        fresh: dict[str, str] = {}
        for near, far in steps:
            if far not in parents:
                fresh.setdefault(far, near)
        parents |= fresh
        level = list(fresh)
    return parents


def _arcs(connection: artifact_pb2.ArtifactConnection) -> Iterator[tuple[str, str]]:
    """An edge with a run beside it is shown as two: into the run, and out of it."""
    first, second, run = connection.first_name, connection.second_name, connection.run_name
    if run and run not in (first, second):
        yield first, run
        yield run, second
    else:
        yield first, second


def artifact_name(artifact: artifact_pb2.ArtifactMetadata) -> str:
    """The resource name of a lineage node, whatever its kind."""
    kind = artifact.WhichOneof("metadata")
    return str(getattr(artifact, kind).name) if kind else ""


def describe(name: str, artifact: artifact_pb2.ArtifactMetadata | None) -> Node:
    """The node of a graph with what is known of it, and nothing beyond it."""
    match artifact.WhichOneof("metadata") if artifact else None, artifact:
        case "model_metadata", artifact_pb2.ArtifactMetadata(model_metadata=model):
            return Node("model", name, model.digest, {"parameters": f"{model.parameter_count:,}"})
        case "data_metadata", artifact_pb2.ArtifactMetadata(data_metadata=data):
            return Node("data", name, data.digest, {"rows": f"{data.row_count:,}"} if data.row_count else {})
        case "executable_metadata", artifact_pb2.ArtifactMetadata(executable_metadata=executable):
            return Node("executable", name, executable.digest)
        case "deployment", artifact_pb2.ArtifactMetadata(deployment=deployment):
            ended = {"ended": deployment.end_time.ToJsonString()} if deployment.HasField("end_time") else {}
            return Node("deployment", name, "", {"of": deployment.model.rpartition("/")[2], **ended})
        case "receipt", artifact_pb2.ArtifactMetadata(receipt=receipt):
            return Node("answers", name, receipt.digest, {"answers": f"{receipt.answer_count:,}"})
        case "run", artifact_pb2.ArtifactMetadata(run=run):
            state = artifact_pb2.Run.State.Name(run.state).removeprefix("STATE_").lower()
            return Node("run", name, "", {"state": state, "name": run.display_name})
        case _:
            # The walk stopped at its depth or size limit: the edge is known, the node was not sent.
            return Node("unknown", name, "")


def _sources(connection: Connection, lineage: lineage_pb2.Lineage, max_files: int) -> dict[str, Sources]:
    datasets = datasets_pb2_grpc.DatasetServiceStub(connection.channel("dataset"))
    found = {}
    for artifact in lineage.artifacts:
        if artifact.WhichOneof("metadata") != "data_metadata":
            continue
        name = artifact.data_metadata.name
        if "/datasets/" not in name:  # of data outside of Headwater no files are known
            continue
        # A copy of a place outside is a node of its own.
        parent = name.partition("/checkpoints/")[0]
        version = datasets.GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=parent))
        if version.source_file_count:
            request = datasets_pb2.ListSourceFilesRequest(parent=parent, page_size=max_files)
            files = datasets.ListSourceFiles(request).source_files
            found[name] = Sources(tuple(files), version.source_file_count, version.source_digest)
    return found


def _files(sources: Sources | None) -> list[Node]:
    if sources is None:
        return []
    files = [Node("file", file.path, file.digest, {"size": f"{file.size_bytes:,} bytes"}) for file in sources.files]
    if more := sources.file_count - len(files):
        files.append(Node("file", f"… {more:,} more files", sources.digest, {"digest": "of all paths and digests"}))
    return files

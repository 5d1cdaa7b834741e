"""Lineage: what came from what, and what depends on it.

graph = get(connection, named(connection, "models/digits@production"))
impact(connection, "projects/default/datasets/digits/versions/v1.0.0").summary
"""

from collections.abc import Iterator, Sequence

from headwater import datasets, model_pointers, pipelines, references
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import InvalidArgument, NotFound, Unavailable
from headwater.names import DEFAULT_PROJECT
from headwater.pages import pages
from headwater.registry.v1 import lineage_pb2, lineage_pb2_grpc

Direction = lineage_pb2.GetLineageRequest.Direction
Format = lineage_pb2.ExportLineageRequest.Format
Kind = lineage_pb2.LineageNodeKind

KINDS = {
    "data": Kind.LINEAGE_NODE_KIND_DATA,
    "executable": Kind.LINEAGE_NODE_KIND_EXECUTABLE,
    "model": Kind.LINEAGE_NODE_KIND_MODEL_VERSION,
    "run": Kind.LINEAGE_NODE_KIND_RUN,
    "deployment": Kind.LINEAGE_NODE_KIND_DEPLOYMENT,
    "receipt": Kind.LINEAGE_NODE_KIND_RECEIPT,
}
"""Kinds of nodes, as people write them."""
FORMATS = {"openlineage": Format.FORMAT_OPENLINEAGE, "prov": Format.FORMAT_PROV_JSON}
"""What others read."""
_PAGE = 1000
_EVENTS_AT_ONCE = 500
_BYTES_AT_ONCE = 2**20


def named(connection: Connection, text: str, *, project: str = DEFAULT_PROJECT) -> str:
    """The resource name that ``text`` means: itself, ``runs/…`` within a project, or ``datasets/digits@v1.0.0``,
    ``models/digits@production``, ``pipelines/prep@2``.

    Raises:
        InvalidArgument: it is none of these.
        NotFound: the reference leads nowhere.
    """
    if text.startswith("projects/"):
        return text
    noun, _, rest = text.partition("/")
    if not rest:
        raise InvalidArgument(
            f"{text} does not say what it is: write datasets/{text}@v1.0.0, models/{text} or a full name.", name=text
        )
    if "@" not in rest:
        return f"{references.project(project)}/{text}"
    match noun:
        case "datasets":
            return datasets.resolve_version(connection, rest, project=project)
        case "models":
            return model_pointers.version_name(connection, rest, project=project)
        case "pipelines":
            return pipelines.resolve(connection, rest, project=project)
        case _:
            raise InvalidArgument(f"Only datasets, models and pipelines are named with @, not {noun}.", name=text)


def get(
    connection: Connection,
    name: str,
    *,
    downstream: bool = False,
    depth: int = 0,
    kinds: Sequence[str] = (),
    max_nodes: int = 0,
) -> lineage_pb2.Lineage:
    """A part of the graph: to what went into ``name``, or ``downstream`` to what came of it.

    Raises:
        InvalidArgument: no such kind.
        NotFound: the graph does not know ``name``.
    """
    return _stub(connection).GetLineage(_request(name, downstream, depth, kinds, max_nodes))


def know(connection: Connection, dataset_versions: Sequence[str]) -> None:
    """Let the graph know dataset versions, with their digests, before something is connected with them.

    One that the dataset service does not know, or that cannot be asked for now, is left out.
    """
    nodes = []
    for name in dataset_versions:
        try:
            version = datasets.get_version(connection, name)
        except (NotFound, Unavailable, InvalidArgument):
            continue
        data = artifact_pb2.DataMetadata(
            name=version.name,
            version=version.name.rpartition("/")[2],
            digest=version.digest,
            row_count=version.row_count,
            ingest_time=version.create_time,
        )
        nodes.append((version.name.split("/")[1], artifact_pb2.ArtifactMetadata(data_metadata=data)))
    for project, node in nodes:
        request = lineage_pb2.CreateConnectionsRequest(parent=f"projects/{project}", artifacts=[node])
        _stub(connection).CreateConnections(request)


def impact(connection: Connection, name: str) -> lineage_pb2.Impact:
    """What depends on ``name``; of a model, on any of its versions."""
    return _stub(connection).GetImpact(lineage_pb2.GetImpactRequest(name=name))


def uses(connection: Connection, name: str) -> Iterator[lineage_pb2.ModelVersionUse]:
    """Every model version that was trained on the dataset version ``name`` or on what was made of it, nearest first."""
    request = lineage_pb2.ListModelVersionUsesRequest(name=name, page_size=_PAGE)
    for page in pages(_stub(connection).ListModelVersionUses, request):
        yield from page.uses


def import_openlineage(
    connection: Connection, events: Sequence[str], *, project: str = DEFAULT_PROJECT
) -> lineage_pb2.ImportOpenLineageResponse:
    """Add what OpenLineage events tell, JSON texts, in several calls where they are many. To repeat it changes nothing.

    Raises:
        InvalidArgument: an event is not what the specification says; those of the calls before it have been added.
    """
    total = lineage_pb2.ImportOpenLineageResponse()
    for part in _parts(events):
        request = lineage_pb2.ImportOpenLineageRequest(parent=str(references.project(project)), events_json=part)
        answer = _stub(connection).ImportOpenLineage(request)
        total.created_count += answer.created_count
        total.runs.extend(answer.runs)
    return total


def export(
    connection: Connection,
    name: str,
    form: str,
    *,
    downstream: bool = False,
    depth: int = 0,
    max_nodes: int = 0,
) -> lineage_pb2.ExportLineageResponse:
    """A part of the graph as ``openlineage`` events, an object a line, or as ``prov``, PROV-JSON."""
    if form not in FORMATS:
        raise InvalidArgument(f"There is no format {form}; there are {', '.join(FORMATS)}.", format=form)
    request = lineage_pb2.ExportLineageRequest(
        lineage=_request(name, downstream, depth, (), max_nodes), format=FORMATS[form]
    )
    return _stub(connection).ExportLineage(request)


def _parts(events: Sequence[str]) -> Iterator[Sequence[str]]:
    """The events in parts that fit into a message each."""
    part: list[str] = []
    size = 0
    for event in events:
        length = len(event.encode())
        if part and (len(part) == _EVENTS_AT_ONCE or size + length > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part


def _request(
    name: str, downstream: bool, depth: int, kinds: Sequence[str], max_nodes: int
) -> lineage_pb2.GetLineageRequest:
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidArgument(f"There is no kind {kind}; there are {', '.join(KINDS)}.", kind=kind)
    return lineage_pb2.GetLineageRequest(
        name=name,
        direction=Direction.DIRECTION_DOWNSTREAM if downstream else Direction.DIRECTION_UPSTREAM,
        max_depth=depth,
        kinds=[KINDS[kind] for kind in kinds],
        max_nodes=max_nodes,
    )


def _stub(connection: Connection) -> lineage_pb2_grpc.LineageServiceStub:
    return lineage_pb2_grpc.LineageServiceStub(connection.channel("registry"))

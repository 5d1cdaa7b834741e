"""Lineage between proto and domain."""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from google.protobuf import json_format

from chassis.ids import new_id
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ArtifactName, InvalidName
from headwater.registry.v1 import lineage_pb2
from services.registry import convert
from services.registry.artifacts.model import digest_in
from services.registry.ids import is_id
from services.registry.lineage.errors import ArtifactDigestConflict, InvalidConnection
from services.registry.lineage.impact import Impact
from services.registry.lineage.lineage import Lineage
from services.registry.lineage.model import Connections, Direction, Edge, NewEdge, Node, NodeKind, Role, kind_of
from services.registry.lineage.nodes import AnyNode
from services.registry.lineage.uses import Use
from services.registry.runs import convert as run_convert
from services.registry.runs.model import Run
from services.registry.values import Json
from services.registry.versions import convert as version_convert

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_MAX_DETAILS_BYTES = 65_536
_READ_OF_EDGE = ("first_name", "second_name", "run_name", "role")
_IDENTITY = frozenset({"id", "name", "digest", "revision"})
_UUID_TYPES = {
    NodeKind.DATA: artifact_pb2.UUID.TYPE_DATA_METADATA,
    NodeKind.EXECUTABLE: artifact_pb2.UUID.TYPE_EXECUTABLE_METADATA,
    NodeKind.MODEL_VERSION: artifact_pb2.UUID.TYPE_MODEL_METADATA,
    NodeKind.RUN: artifact_pb2.UUID.TYPE_RUN,
    NodeKind.DEPLOYMENT: artifact_pb2.UUID.TYPE_DEPLOYMENT,
    NodeKind.RECEIPT: artifact_pb2.UUID.TYPE_INFERENCE_RECORD,
}
_FIELDS = {
    NodeKind.DATA: "data_metadata",
    NodeKind.EXECUTABLE: "executable_metadata",
    NodeKind.DEPLOYMENT: "deployment",
    NodeKind.RECEIPT: "receipt",
}


def connections(request: lineage_pb2.CreateConnectionsRequest) -> Connections:
    """The nodes and edges that the request asks for, checked."""
    nodes: dict[str, Node] = {}
    for metadata in request.artifacts:
        node = _node(metadata)
        if nodes.setdefault(node.name, node).digest != node.digest:
            raise ArtifactDigestConflict(name=node.name, known=nodes[node.name].digest, given=node.digest)
    return Connections(list(nodes.values()), list(dict.fromkeys(map(_edge, request.connections))))


def start(request: lineage_pb2.GetLineageRequest) -> tuple[str, Direction]:
    """Where to start and which way to walk; upstream where the request does not say."""
    downstream = request.direction == lineage_pb2.GetLineageRequest.DIRECTION_DOWNSTREAM
    return request.name, Direction.DOWNSTREAM if downstream else Direction.UPSTREAM


class Size(TypedDict):
    """How much of the graph is asked for."""

    max_depth: int
    kinds: Collection[NodeKind]
    max_nodes: int


def size(request: lineage_pb2.GetLineageRequest) -> Size:
    """How much of the graph is asked for; 0 and no kinds where the request does not say."""
    kinds = frozenset(map(NodeKind, request.kinds))
    return Size(max_depth=request.max_depth, kinds=kinds, max_nodes=request.max_nodes)


def to_proto(lineage: Lineage) -> lineage_pb2.Lineage:
    """The part of the graph as a message."""
    ids = {str(node.name): convert.uuid(node.id, _UUID_TYPES[_kind(node)]) for node in lineage.nodes}
    return lineage_pb2.Lineage(
        artifacts=[_metadata(node) for node in lineage.nodes],
        connections=[_connection(edge, ids) for edge in lineage.edges],
        truncated=lineage.truncated,
    )


def impact_to_proto(impact: Impact) -> lineage_pb2.Impact:
    """What depends on something, as a message."""
    return lineage_pb2.Impact(
        dependents=[
            lineage_pb2.Impact.Dependents(
                kind=lineage_pb2.LineageNodeKind.ValueType(each.kind), count=each.count, names=each.names
            )
            for each in impact.dependents
        ],
        summary=impact.summary,
        truncated=impact.truncated,
        serving_deployments=impact.serving_deployments,
    )


def use_to_proto(use: Use) -> lineage_pb2.ModelVersionUse:
    """A model version that was trained on something, as a message."""
    return lineage_pb2.ModelVersionUse(
        model_version=use.model_version,
        run=use.run,
        distance=use.distance,
        tenures=[
            lineage_pb2.ModelVersionUse.Tenure(
                pointer=each.pointer,
                is_stage=each.is_stage,
                start_time=convert.timestamp(each.start),
                end_time=convert.timestamp(each.end),
            )
            for each in use.tenures
        ],
        deployments=use.deployments,
    )


def _node(metadata: artifact_pb2.ArtifactMetadata) -> Node:
    kind, message = _kind_and_message(metadata)
    if kind_of(message.name) is not kind:
        raise InvalidConnection("The name is that of another kind of artifact.", name=message.name)
    if message.id.value and not is_id(message.id.value):
        raise InvalidConnection("The id of a node is a UUID in lower case, or is left out.", name=message.name)
    details = type(message)()
    details.CopyFrom(message)
    for field in _IDENTITY & set(message.DESCRIPTOR.fields_by_name):
        details.ClearField(field)
    if details.ByteSize() > _MAX_DETAILS_BYTES:
        raise InvalidConnection(f"A node may have at most {_MAX_DETAILS_BYTES} bytes of details.", name=message.name)
    node = Node(message.name, kind, message.id.value or new_id(), "", _details(details))
    if isinstance(message, artifact_pb2.DeploymentMetadata):
        if message.revision < 1 or not message.id.value:
            raise InvalidConnection("A deployment needs its id, and a revision from 1 up.", name=message.name)
        return dataclasses.replace(node, revision=message.revision)
    if not _DIGEST.fullmatch(message.digest):
        raise InvalidConnection("A node needs a digest, sha256: and 64 hex digits.", name=message.name)
    _check_artifact(message.name, message.digest)
    return dataclasses.replace(node, digest=message.digest)


def _kind_and_message(metadata: artifact_pb2.ArtifactMetadata) -> tuple[NodeKind, Any]:
    field = metadata.WhichOneof("metadata")
    for kind, name in _FIELDS.items():
        if field == name:
            return kind, getattr(metadata, name)
    raise InvalidConnection(
        "A node is data, an executable, a deployment or a receipt; runs and model versions are known by themselves."
    )


def _details(message: Any) -> dict[str, Any]:
    try:
        details: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (ValueError, json_format.Error) as error:  # a time that no calendar has
        raise InvalidConnection("A node has a value that cannot be kept.", why=str(error)) from error
    return details


def _check_artifact(name: str, digest: str) -> None:
    """An artifact is named by its digest: the two cannot differ."""
    try:
        artifact = ArtifactName.parse(name)
    except InvalidName:
        return
    if digest_in(artifact) != digest:
        raise ArtifactDigestConflict(name=name, known=digest_in(artifact), given=digest)


def _edge(connection: artifact_pb2.ArtifactConnection) -> NewEdge:
    convert.refuse_other_fields(connection, _READ_OF_EDGE, "connections")
    kind_of(connection.first_name)
    kind_of(connection.second_name)
    if connection.first_name == connection.second_name:
        raise InvalidConnection("Nothing went into itself.", name=connection.first_name)
    if connection.run_name and kind_of(connection.run_name) is not NodeKind.RUN:
        raise InvalidConnection("run_name must name a run.", name=connection.run_name)
    try:
        role = Role(connection.role)
    except ValueError:
        raise InvalidConnection("A connection needs a role.", first=connection.first_name) from None
    return NewEdge(connection.first_name, connection.second_name, connection.run_name, role)


def _kind(node: AnyNode) -> NodeKind:
    if isinstance(node, Node):
        return node.kind
    return NodeKind.RUN if isinstance(node, Run) else NodeKind.MODEL_VERSION


def _metadata(node: AnyNode) -> artifact_pb2.ArtifactMetadata:
    if isinstance(node, Run):
        return artifact_pb2.ArtifactMetadata(run=run_convert.to_proto(node))
    if not isinstance(node, Node):
        return artifact_pb2.ArtifactMetadata(model_metadata=version_convert.version_to_proto(node))
    field = _FIELDS[node.kind]
    metadata = artifact_pb2.ArtifactMetadata()
    message = getattr(metadata, field)
    _fill(message, node.details)
    message.id.CopyFrom(artifact_pb2.UUID(value=node.id, type=_UUID_TYPES[node.kind]))
    message.name = node.name
    if isinstance(message, artifact_pb2.DeploymentMetadata):
        message.revision = node.revision
    else:
        message.digest = node.digest
    return metadata


def _fill(message: Any, details: Mapping[str, Json]) -> None:
    """Set what ``details``, its JSON form, say. Texts and whole numbers, which most are, are set directly: it takes a
    fifth of the time, and a graph has many nodes."""
    fields, rest = message.DESCRIPTOR.fields_by_name, {}
    for key, value in details.items():
        field = fields[key]
        if isinstance(value, str) and field.type == field.TYPE_STRING:
            setattr(message, key, value)
        elif isinstance(value, str) and field.type == field.TYPE_INT64:
            setattr(message, key, int(value))
        else:
            rest[key] = value
    if rest:
        json_format.ParseDict(rest, message)


def _connection(edge: Edge, ids: dict[str, artifact_pb2.UUID | None]) -> artifact_pb2.ArtifactConnection:
    return artifact_pb2.ArtifactConnection(
        id=convert.uuid(edge.id, artifact_pb2.UUID.TYPE_ARTIFACT_CONNECTION),
        first_artifact=ids[edge.first],
        second_artifact=ids[edge.second],
        run=ids.get(edge.run),
        project=convert.uuid(edge.project_id, artifact_pb2.UUID.TYPE_PROJECT),
        first_name=edge.first,
        second_name=edge.second,
        run_name=edge.run,
        role=artifact_pb2.ArtifactConnection.Role.ValueType(edge.role),
    )

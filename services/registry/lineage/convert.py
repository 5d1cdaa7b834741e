"""Lineage between proto and domain."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypedDict

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
from services.registry.runs.model import BriefRun
from services.registry.versions import convert as version_convert

_Fields: TypeAlias = Mapping[str, Any]
"""The fields of a message, as its constructor takes them."""
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
_PROJECT, _CONNECTION = artifact_pb2.UUID.TYPE_PROJECT, artifact_pb2.UUID.TYPE_ARTIFACT_CONNECTION
_FIELDS = {
    NodeKind.DATA: "data_metadata",
    NodeKind.EXECUTABLE: "executable_metadata",
    NodeKind.DEPLOYMENT: "deployment",
    NodeKind.RECEIPT: "receipt",
}


def _readers(message_type: Any) -> Mapping[str, Callable[[Any], Any]]:
    """How the JSON form of a field becomes what the message's constructor takes, for the kinds that most fields are.
    The others are left to ``json_format``, which takes many times as long."""
    readers: dict[str, Callable[[Any], Any]] = {}
    for field in message_type.DESCRIPTOR.fields:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.type == field.TYPE_STRING or (is_map and field.full_name.endswith(".annotations")):
            readers[field.name] = _as_it_is
        elif field.type == field.TYPE_INT64:
            readers[field.name] = int
    return readers


def _as_it_is(value: Any) -> Any:
    return value


_MESSAGES = {
    kind: (field, message_type, _readers(message_type))
    for kind, field in _FIELDS.items()
    for message_type in [getattr(artifact_pb2.ArtifactMetadata(), field).__class__]
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
    ids = {str(node.name): {"value": node.id, "type": _UUID_TYPES[_kind(node)]} for node in lineage.nodes}
    # Fields, of which the messages are made in place: each by itself, to be copied then, takes twice as long.
    artifacts: Any = (_metadata(node, ids[str(node.name)]) for node in lineage.nodes)
    connections: Any = (_connection(edge, ids) for edge in lineage.edges)
    return lineage_pb2.Lineage(artifacts=artifacts, connections=connections, truncated=lineage.truncated)


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
    return NodeKind.RUN if isinstance(node, BriefRun) else NodeKind.MODEL_VERSION


def _metadata(node: AnyNode, uid: _Fields) -> _Fields:
    if isinstance(node, BriefRun):
        return {"run": run_convert.brief_fields(node)}
    if not isinstance(node, Node):
        return {"model_metadata": version_convert.version_to_proto(node)}
    field, message_type, readers = _MESSAGES[node.kind]
    said: dict[str, Any] = {"id": uid, "name": node.name}
    if node.kind is NodeKind.DEPLOYMENT:
        said["revision"] = node.revision
    else:
        said["digest"] = node.digest
    rest = {}
    for key, value in node.details.items():
        if key in readers:
            said[key] = readers[key](value)
        else:
            rest[key] = value
    return {field: json_format.ParseDict(rest, message_type(**said)) if rest else said}


def _connection(edge: Edge, ids: Mapping[str, _Fields]) -> _Fields:
    uid, project_id, first, second, run, role = edge
    return {
        "id": {"value": uid, "type": _CONNECTION},
        "first_artifact": ids[first],
        "second_artifact": ids[second],
        "run": ids.get(run),
        "project": {"value": project_id, "type": _PROJECT},
        "first_name": first,
        "second_name": second,
        "run_name": run,
        "role": role,
    }

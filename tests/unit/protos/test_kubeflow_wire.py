"""Our artifact messages and Kubeflow's are the same bytes (K-19, M-115, M-116, M-117).

The original is described here by hand, from its published field numbers and with the map types that its text form lost.
Messages of either side are filled field by field, written, and read by the other. Whoever breaks this breaks people's
stored metadata.
"""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.message import Message

from headwater.artifact.v1 import artifact_pb2

_STRING, _MESSAGE, _ENUM = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_MESSAGE,
    FieldDescriptorProto.TYPE_ENUM,
)
_TIMESTAMP, _VALUE = ".google.protobuf.Timestamp", ".google.protobuf.Value"

# Message -> field -> (number, type). "text", a message's name, or a map or list of those.
_ORIGINAL: dict[str, dict[str, tuple[int, str]]] = {
    "UUID": {"value": (1, "text"), "type": (2, "enum")},
    "Project": {
        "id": (1, "UUID"),
        "name": (2, "text"),
        "description": (3, "text"),
        "runs": (4, "list UUID"),
        "artifacts": (5, "list UUID"),
        "annotations": (6, "map text"),
    },
    "Run": {
        "id": (1, "UUID"),
        "name": (2, "text"),
        "description": (3, "text"),
        "project": (4, "UUID"),
        "artifacts": (5, "list UUID"),
        "annotations": (6, "map text"),
    },
    "ArtifactConnection": {
        "id": (1, "UUID"),
        "first_artifact": (2, "UUID"),
        "second_artifact": (3, "UUID"),
        "run": (4, "UUID"),
        "project": (5, "UUID"),
    },
    "ArtifactMetadata": {
        "data_metadata": (1, "DataMetadata"),
        "executable_metadata": (2, "ExecutableMetadata"),
        "model_metadata": (3, "ModelMetadata"),
    },
    "DataMetadata": {
        "id": (1, "UUID"),
        "name": (2, "text"),
        "description": (3, "text"),
        "source": (4, "text"),
        "query": (5, "text"),
        "version": (6, "text"),
        "ingestTime": (7, _TIMESTAMP),
        "timerange": (8, "TimeRange"),
        "runs": (9, "list UUID"),
        "projects": (10, "list UUID"),
        "annotations": (11, "map text"),
        "jobs": (12, "list UUID"),
    },
    "ModelMetadata": {
        "id": (1, "UUID"),
        "name": (2, "text"),
        "description": (3, "text"),
        "kind": (4, "text"),
        "version": (5, "text"),
        "hyperparameters": (6, f"map {_VALUE}"),
        "framework": (7, "Framework"),
        "storage_location": (8, "text"),
        "metrics_ids": (9, "list UUID"),
        "run": (10, "UUID"),
        "project": (11, "UUID"),
        "annotations": (12, "map text"),
        "jobs": (13, "list UUID"),
        "create_ts": (14, _TIMESTAMP),
        "tags": (15, "list text"),
    },
    "ExecutableMetadata": {
        "id": (1, "UUID"),
        "name": (2, "text"),
        "description": (3, "text"),
        "repository": (4, "text"),
        "version": (5, "text"),
        "tags": (6, "list text"),
        "create_ts": (7, _TIMESTAMP),
        "runs": (8, "list UUID"),
        "projects": (9, "list UUID"),
        "annotations": (10, "map text"),
        "jobs": (11, "list UUID"),
    },
    "Metrics": {
        "id": (1, "UUID"),
        "model": (2, "UUID"),
        "data": (3, "UUID"),
        "job": (4, "UUID"),
        "kind": (5, "text"),
        "values": (6, f"map {_VALUE}"),
        "annotations": (7, "map text"),
        "description": (8, "text"),
    },
    "Framework": {"name": (1, "text"), "version": (2, "text")},
    "TimeRange": {"start": (1, _TIMESTAMP), "end": (2, _TIMESTAMP)},
}
_UUID_TYPES = {
    "UNKNOWN": 0,
    "PROJECT": 1,
    "RUN": 2,
    "ARTIFACT_CONNECTION": 3,
    "DATA_METADATA": 4,
    "MODEL_METADATA": 5,
    "EXECUTABLE_METADATA": 6,
    "METRICS": 7,
}


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    if kind == "text":
        field.type = _STRING
    elif kind == "enum":
        field.type, field.type_name = _ENUM, ".protobuf.UUID.Type"
    else:
        field.type, field.type_name = _MESSAGE, kind if kind.startswith(".") else f".protobuf.{kind}"


def _add_map(message: descriptor_pb2.DescriptorProto, field: FieldDescriptorProto, kind: str) -> None:
    entry = message.nested_type.add(name=f"{field.name.title()}Entry")
    entry.options.map_entry = True
    for number, (name, part) in enumerate((("key", "text"), ("value", kind)), start=1):
        inner = entry.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
        _set_type(inner, part)
    field.type, field.type_name = _MESSAGE, f".protobuf.{message.name}.{entry.name}"


def _original_file() -> descriptor_pb2.FileDescriptorProto:
    """The original, as protoc would have described it."""
    file = descriptor_pb2.FileDescriptorProto(name="kubeflow/artifact.proto", package="protobuf", syntax="proto3")
    file.dependency.extend(["google/protobuf/struct.proto", "google/protobuf/timestamp.proto"])
    for name, fields in _ORIGINAL.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            label, _, inner = kind.rpartition(" ")
            field = message.field.add(name=field_name, number=number)
            field.label = FieldDescriptorProto.LABEL_REPEATED if label else FieldDescriptorProto.LABEL_OPTIONAL
            if label == "map":
                _add_map(message, field, inner)
            else:
                _set_type(field, inner)
            if name == "ArtifactMetadata":
                field.oneof_index = 0
    file.message_type[list(_ORIGINAL).index("ArtifactMetadata")].oneof_decl.add(name="metadata")
    types = file.message_type[list(_ORIGINAL).index("UUID")].enum_type.add(name="Type")
    for value_name, value in _UUID_TYPES.items():
        types.value.add(name=value_name, number=value)
    return file


def _original_classes() -> dict[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    for dependency in (struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(dependency.DESCRIPTOR.serialized_pb)
    pool.Add(_original_file())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"protobuf.{name}")) for name in _ORIGINAL}


ORIGINAL = _original_classes()
OURS: dict[str, type[Message]] = {name: getattr(artifact_pb2, name) for name in _ORIGINAL}
FIELDS = [(name, number) for name, fields in _ORIGINAL.items() for number, _ in fields.values()]


def _sample(descriptor: Any, cls: type[Message], numbers: set[int] | None = None) -> Message:
    """A message with a value in each field that the original knows (or in ``numbers`` only)."""
    message = cls()
    known = {number for number, _ in _ORIGINAL.get(descriptor.name, {}).values()} or None
    for field in descriptor.fields:
        if (known is None or field.number in known) and (numbers is None or field.number in numbers):
            _fill(message, field)
    return message


def _fill(message: Message, field: FieldDescriptor) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is None:
            target["key"] = f"value of {field.number}"
        else:
            target["key"].number_value = field.number
            target["text"].string_value = "a"
            target["list"].list_value.values.add().bool_value = True
    elif field.message_type is not None:
        inner = field.message_type
        for one in [target.add(), target.add()] if field.is_repeated else [target]:
            one.SetInParent()
            one.MergeFrom(_message_of(inner, type(one), field.number))
    elif field.is_repeated:
        target.extend([f"{field.number} a", f"{field.number} b"])
    elif field.enum_type is not None:
        setattr(message, field.name, 4)
    else:
        setattr(message, field.name, f"text of {field.number}")


def _message_of(descriptor: Any, cls: type[Any], number: int) -> Message:
    if descriptor.name == "Timestamp":
        time: Message = cls(seconds=1_700_000_000 + number, nanos=number)
        return time
    return _sample(descriptor, cls)


def _same(one: Any, other: Any) -> bool:
    """Whether two messages of the two sides say the same, field number by field number."""
    ours, theirs = ({field.number: value for field, value in message.ListFields()} for message in (one, other))
    return ours.keys() == theirs.keys() and all(_same_value(value, theirs[number]) for number, value in ours.items())


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, Message):
        return _same(one, other)
    if hasattr(one, "items"):
        return set(one) == set(other) and all(_same_value(one[key], other[key]) for key in one)
    if isinstance(one, str | int | float | bool):
        return bool(one == other)
    return len(one) == len(other) and all(_same_value(each, that) for each, that in zip(one, other, strict=True))


@pytest.mark.parametrize(("name", "number"), FIELDS, ids=[f"{name}-{number}" for name, number in FIELDS])
def test_a_field_written_by_either_side_is_read_by_the_other(name: str, number: int) -> None:
    for writer, reader in ((ORIGINAL[name], OURS[name]), (OURS[name], ORIGINAL[name])):
        written = _sample(writer.DESCRIPTOR, writer, {number})
        read = reader.FromString(written.SerializeToString())
        assert [field.number for field, _ in read.ListFields()] == [number]
        assert _same(written, read)
        assert read.SerializeToString(deterministic=True) == written.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", sorted(set(_ORIGINAL) - {"ArtifactMetadata"}))
def test_a_full_message_comes_back_from_the_other_side_unchanged(name: str) -> None:
    for writer, reader in ((ORIGINAL[name], OURS[name]), (OURS[name], ORIGINAL[name])):
        written = _sample(writer.DESCRIPTOR, writer)
        assert len(written.ListFields()) == len(_ORIGINAL[name])
        read = reader.FromString(written.SerializeToString())
        assert _same(written, read)
        assert writer.FromString(read.SerializeToString()) == written


def test_the_kinds_of_ids_have_the_same_numbers() -> None:
    ours = {value.name.removeprefix("TYPE_"): value.number for value in artifact_pb2.UUID.Type.DESCRIPTOR.values}
    assert ours.pop("UNSPECIFIED") == 0
    assert ours.items() >= {name: number for name, number in _UUID_TYPES.items() if number}.items()
    assert min(set(ours.values()) - set(_UUID_TYPES.values())) > max(_UUID_TYPES.values())


@pytest.mark.parametrize("name", sorted(_ORIGINAL))
def test_what_we_add_keeps_clear_of_the_original(name: str) -> None:
    original = {number for number, _ in _ORIGINAL[name].values()}
    added = {field.number for field in OURS[name].DESCRIPTOR.fields} - original
    assert all(number >= 100 for number in added)


def test_what_we_add_survives_a_round_trip_through_the_original() -> None:
    version = artifact_pb2.ModelMetadata(
        name="projects/p/models/m/versions/1",
        digest=f"sha256:{'a' * 64}",
        stage=artifact_pb2.ModelMetadata.STAGE_PRODUCTION,
        metrics={"accuracy": 0.97},
    )
    through = ORIGINAL["ModelMetadata"].FromString(version.SerializeToString()).SerializeToString()
    assert artifact_pb2.ModelMetadata.FromString(through) == version


def test_the_bytes_of_one_message_are_these() -> None:
    """Golden: so that a mistake shared by both descriptions shows."""
    written = artifact_pb2.Run(
        id=artifact_pb2.UUID(value="7", type=artifact_pb2.UUID.TYPE_RUN), name="r", annotations={"k": "v"}
    )
    assert written.SerializeToString() == b"\x0a\x05\x0a\x017\x10\x02" + b"\x12\x01r" + b"\x32\x06\x0a\x01k\x12\x01v"

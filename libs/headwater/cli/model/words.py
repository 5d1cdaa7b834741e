"""How models and versions are written on a screen."""

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from headwater.artifact.v1 import artifact_pb2
from headwater.cli.render import output

_Format = artifact_pb2.ModelFile.Format


def stage(value: artifact_pb2.ModelMetadata.Stage.ValueType) -> str:
    """``production``."""
    return artifact_pb2.ModelMetadata.Stage.Name(value).removeprefix("STAGE_").lower()


def state(value: artifact_pb2.ModelMetadata.State.ValueType) -> str:
    """``deprecated``."""
    return artifact_pb2.ModelMetadata.State.Name(value).removeprefix("STATE_").lower()


def format_(value: artifact_pb2.ModelFile.Format.ValueType) -> str:
    """``safetensors``; of a registry of a later release, perhaps only its number."""
    name = _Format.Name(value) if value in _Format.values() else str(value)
    return name.removeprefix("FORMAT_").lower().replace("unspecified", "not recognised")


def tensor(value: artifact_pb2.TensorSpec) -> str:
    """``x FP32[-1, 4]``."""
    return f"{value.name} {value.datatype}[{shape(value)}]"


def shape(value: artifact_pb2.TensorSpec) -> str:
    """``-1, 4``."""
    return ", ".join(map(str, value.shape))


def as_json(message: Message) -> None:
    """Print a message as JSON with the names of the proto."""
    output.print(MessageToJson(message, preserving_proto_field_name=True), markup=False)

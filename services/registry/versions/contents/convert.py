"""What the files of a version hold, as messages."""

from collections.abc import Mapping, Sequence

from headwater.artifact.v1 import artifact_pb2
from services.registry.formats import FileFacts, Signature, Tensor
from services.registry.versions.model import ModelFile


def file_to_proto(file: ModelFile) -> artifact_pb2.ModelFile:
    """The file as a message."""
    message = _facts(file.facts)
    message.path, message.digest, message.size_bytes = file.path, file.digest, file.size_bytes
    return message


def tensors_to_proto(tensors: Sequence[Tensor]) -> list[artifact_pb2.TensorSpec]:
    """Tensors as messages."""
    return [
        artifact_pb2.TensorSpec(
            name=tensor.name,
            datatype=tensor.datatype,
            shape=tensor.shape,
            begin_offset=tensor.begin if tensor.begin >= 0 else None,
            end_offset=tensor.end if tensor.begin >= 0 else None,
        )
        for tensor in tensors
    ]


def _facts(facts: FileFacts) -> artifact_pb2.ModelFile:
    framework = artifact_pb2.Framework(name=facts.framework, version=facts.framework_version)
    return artifact_pb2.ModelFile(
        format=artifact_pb2.ModelFile.Format.ValueType(facts.format),
        tensors=tensors_to_proto(facts.tensors),
        properties=facts.properties,
        framework=framework if facts.framework else None,
        architecture=facts.architecture,
        layers=[artifact_pb2.ModelFile.Layer(name=layer.name, kind=layer.kind) for layer in facts.layers],
        operators=facts.operators,
        opsets=facts.opsets,
        globals=[
            artifact_pb2.ModelFile.Global(name=each.name, called=each.called, safe=each.safe) for each in facts.globals
        ],
        code=facts.code,
        problems=facts.problems,
        signatures=_signatures(facts.signatures),
        members=[_member(path, member) for path, member in facts.members.items()],
        parameter_count=facts.parameter_count,
    )


def _member(path: str, facts: FileFacts) -> artifact_pb2.ModelFile:
    message = _facts(facts)
    message.path = path
    return message


def _signatures(signatures: Mapping[str, Signature]) -> dict[str, artifact_pb2.ModelFile.Signature]:
    return {
        name: artifact_pb2.ModelFile.Signature(
            inputs=tensors_to_proto(each.inputs), outputs=tensors_to_proto(each.outputs)
        )
        for name, each in signatures.items()
    }

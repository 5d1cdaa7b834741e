"""Reads the metadata of an ONNX model (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), not its weights.

The onnx package would load every weight into memory, and take half a second to import; this walks the structure in
place. Field numbers below are those of onnx.proto.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from services.registry.formats.content import Content
from services.registry.formats.facts import (
    MAX_TENSORS,
    ExternalData,
    FileFacts,
    Format,
    InvalidModelFile,
    Tensor,
)
from services.registry.formats.onnx.tensor import MAX_NAME, MAX_RANK, TYPES, read_entry, read_tensor
from services.registry.formats.wire import Malformed, Reader, Span, signed

MAX_BYTES = 2**31 - 1  # what one protobuf message can hold
_MAX_OUTER_FIELDS = 100_000
_MAX_DEPTH = 200  # of messages: a graph in a graph takes three
_MAX_PROPERTIES = 200
_MAX_PROPERTY = 4096

# Where, inside what, something else is nested: field number -> kind. Everything that can hold a tensor is walked, since
# a tensor anywhere can ask for an external file.
_NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


class _Place(NamedTuple):
    kind: str
    fields: Iterator[tuple[int, int | Span]]
    is_main_graph: bool = False


@dataclasses.dataclass(slots=True)
class _Findings:
    inputs: list[Tensor] = dataclasses.field(default_factory=list)
    outputs: list[Tensor] = dataclasses.field(default_factory=list)
    initializers: list[Tensor] = dataclasses.field(default_factory=list)
    external: list[ExternalData] = dataclasses.field(default_factory=list)
    operators: set[str] = dataclasses.field(default_factory=set)
    node_count: int = 0


def fits(content: Content) -> bool:
    """Whether the content as a whole has the outer structure of a ModelProto: an IR version and a graph."""
    try:
        reader = Reader(content, _MAX_OUTER_FIELDS)
        seen = dict(reader.fields(reader.whole()))
    except Malformed:
        return False
    version, graph = seen.get(1), seen.get(7)
    return isinstance(version, int) and 0 < version < 2**31 and isinstance(graph, Span)


def read(content: Content) -> FileFacts:
    """What the model says of itself.

    Raises:
        InvalidModelFile: it breaks a rule of the format, nests too deep, or names a file outside the version.
    """
    if content.size > MAX_BYTES:
        raise _invalid(f"it has {content.size} bytes, more than a protobuf message can ({MAX_BYTES})")
    reader = Reader(content)
    try:
        properties = _properties(reader)
        findings = _walk(reader)
    except Malformed as error:
        raise _invalid(str(error)) from error
    properties["node_count"] = str(findings.node_count)
    properties["operators"] = ", ".join(sorted(findings.operators))[:_MAX_PROPERTY]
    initialized = {tensor.name for tensor in findings.initializers}
    return FileFacts(
        Format.ONNX,
        tensors=findings.initializers,
        # Up to IR version 3 every initializer is listed among the inputs as well.
        inputs=[tensor for tensor in findings.inputs if tensor.name not in initialized],
        outputs=findings.outputs,
        properties=properties,
        external=findings.external,
    )


def _walk(reader: Reader) -> _Findings:
    findings = _Findings()
    places = [_Place("model", reader.fields(reader.whole()))]
    while places:
        place = places[-1]
        for number, value in place.fields:
            kind = _NESTED[place.kind].get(number)
            if kind is None or isinstance(value, int):
                _note(reader, place, number, value, findings)
            elif kind == "tensor":
                _note_tensor(reader, value, findings, is_weight=place.is_main_graph)
            else:
                places.append(_Place(kind, reader.fields(value), is_main_graph=place.kind == "model" and number == 7))
                break
        else:
            places.pop()
        if len(places) > _MAX_DEPTH:
            raise Malformed(f"it nests deeper than {_MAX_DEPTH} levels")
    return findings


def _note(reader: Reader, place: _Place, number: int, value: int | Span, findings: _Findings) -> None:
    if isinstance(value, int):
        return
    if place.is_main_graph and number in (11, 12):
        ends = findings.inputs if number == 11 else findings.outputs
        ends.append(_value_info(reader, value))
        if len(ends) > MAX_TENSORS:
            raise Malformed(f"it has more than {MAX_TENSORS} inputs or outputs")
    elif place.kind == "node" and number == 4:
        findings.node_count += 1
        if len(findings.operators) < 1000:
            findings.operators.add(reader.text(value)[:255])


def _note_tensor(reader: Reader, span: Span, findings: _Findings, *, is_weight: bool) -> None:
    tensor, external = read_tensor(reader, span)
    if external is not None:
        findings.external.append(external)
    if is_weight:
        findings.initializers.append(tensor)
        if len(findings.initializers) > MAX_TENSORS:
            raise Malformed(f"it has more than {MAX_TENSORS} tensors")


def _value_info(reader: Reader, span: Span) -> Tensor:
    name, datatype, shape = "", "", list[int]()
    for number, value in reader.fields(span):
        if number == 1 and isinstance(value, Span):
            name = reader.text(value)
        elif number == 2 and isinstance(value, Span):
            datatype, shape = _type(reader, value)
    if len(name) > MAX_NAME:
        raise Malformed(f"an input's or output's name may have at most {MAX_NAME} characters")
    return Tensor(name, datatype, tuple(shape))


def _type(reader: Reader, span: Span) -> tuple[str, list[int]]:
    """Type and shape of a tensor; an empty type for what is no tensor (a sequence, a map)."""
    datatype, shape = "", list[int]()
    for number, value in reader.fields(span):
        if number != 1 or not isinstance(value, Span):  # TypeProto.tensor_type
            continue
        for inner, part in reader.fields(value):
            if inner == 1 and isinstance(part, int):
                datatype = TYPES.get(part, ("", 0))[0]
            elif inner == 2 and isinstance(part, Span):
                shape = [_dimension(reader, dim) for _, dim in reader.fields(part) if isinstance(dim, Span)]
    if len(shape) > MAX_RANK:
        raise Malformed(f"an input or output has more than {MAX_RANK} dimensions")
    return datatype, shape


def _dimension(reader: Reader, span: Span) -> int:
    for number, value in reader.fields(span):
        if number == 1 and isinstance(value, int):
            return max(signed(value), -1)
    return -1


def _properties(reader: Reader) -> dict[str, str]:
    """What the model tells beside its graph: producer, versions, operator sets, the author's own pairs."""
    properties: dict[str, str] = {}
    plain = {1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version"}
    for number, value in reader.fields(reader.whole()):
        if number in plain:
            told = reader.text(value) if isinstance(value, Span) else str(signed(value))
            pair = plain[number], told
        elif number == 8 and isinstance(value, Span):
            pair = _operator_set(reader, value)
        elif number == 14 and isinstance(value, Span):
            key, told = read_entry(reader, value)
            pair = f"metadata.{key}", told
        else:
            continue
        if pair[1] and len(properties) < _MAX_PROPERTIES:
            properties[pair[0][:255]] = pair[1][:_MAX_PROPERTY]
    return properties


def _operator_set(reader: Reader, span: Span) -> tuple[str, str]:
    domain, version = "", 0
    for number, value in reader.fields(span):
        if number == 1 and isinstance(value, Span):
            domain = reader.text(value)
        elif number == 2 and isinstance(value, int):
            version = signed(value)
    return f"opset.{domain or 'ai.onnx'}", str(version)


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid ONNX model: {what}.", format="onnx")

"""Reads the metadata of an ONNX model (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), not its weights.

The onnx package would load every weight into memory, and take half a second to import; this walks the structure in
place and goes past the weights, which are not even fetched where the file is elsewhere. Field numbers below are those
of ModelProto.
"""

import dataclasses

from services.registry.formats.content import Content
from services.registry.formats.facts import FileFacts, Format, InvalidModelFile
from services.registry.formats.onnx.tensor import read_entry
from services.registry.formats.onnx.walk import Findings, operator_name, walk
from services.registry.formats.wire import Malformed, Reader, Span, signed

MAX_BYTES = 2**31 - 1  # what one protobuf message can hold
_MAX_OUTER_FIELDS = 100_000
_MAX_PROPERTIES = 200
_MAX_PROPERTY = 4096
_PLAIN = {1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version"}
_GRAPH, _OPSET, _METADATA = 7, 8, 14
# What every implementation of ONNX knows; an operator of another domain needs a library of its own.
_KNOWN_DOMAINS = frozenset({"", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"})


@dataclasses.dataclass(slots=True)
class _Origin:
    """What the model tells beside its graph: producer, versions, operator sets, the author's own pairs."""

    properties: dict[str, str] = dataclasses.field(default_factory=dict)
    opsets: dict[str, int] = dataclasses.field(default_factory=dict)

    def note(self, key: str, text: str) -> None:
        if text and len(self.properties) < _MAX_PROPERTIES:
            self.properties[key[:255]] = text[:_MAX_PROPERTY]


def fits(content: Content) -> bool:
    """Whether the content as a whole has the outer structure of a ModelProto: an IR version and a graph."""
    try:
        reader = Reader(content, _MAX_OUTER_FIELDS)
        seen = dict(reader.fields(reader.whole()))
    except Malformed:
        return False
    version, graph = seen.get(1), seen.get(_GRAPH)
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
        origin = _origin(reader)
        findings = walk(reader)
    except Malformed as error:
        raise _invalid(str(error)) from error
    origin.note("graph", findings.graph)
    origin.note("node_count", str(findings.node_count))
    origin.note("functions", ", ".join(sorted(map(operator_name, findings.functions))))
    initialized = {tensor.name for tensor in findings.initializers}
    return FileFacts(
        Format.ONNX,
        tensors=findings.initializers,
        # Up to IR version 3 every initializer is listed among the inputs as well.
        inputs=[tensor for tensor in findings.inputs if tensor.name not in initialized],
        outputs=findings.outputs,
        properties=origin.properties,
        external=findings.external,
        framework=origin.properties.get("producer_name", ""),
        framework_version=origin.properties.get("producer_version", ""),
        layers=findings.layers,
        operators={operator_name(operator): count for operator, count in sorted(findings.operators.items())},
        opsets=origin.opsets,
        code=_custom(findings),
    )


def _origin(reader: Reader) -> _Origin:
    origin = _Origin()
    for number, value in reader.fields(reader.whole()):
        if number in _PLAIN:
            origin.note(_PLAIN[number], reader.text(value) if isinstance(value, Span) else str(signed(value)))
        elif number == _OPSET and isinstance(value, Span):
            domain, version = _operator_set(reader, value)
            if len(origin.opsets) < _MAX_PROPERTIES:
                origin.opsets[domain[:255]] = version
        elif number == _METADATA and isinstance(value, Span):
            key, told = read_entry(reader, value)
            origin.note(f"metadata.{key}", told)
    return origin


def _operator_set(reader: Reader, span: Span) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in reader.fields(span):
        if number == 1 and isinstance(value, Span):
            domain = reader.text(value)
        elif number == 2 and isinstance(value, int):
            version = signed(value)
    return domain or "ai.onnx", version


def _custom(findings: Findings) -> list[str]:
    """Operators that neither ONNX nor the model itself defines."""
    foreign = [each for each in findings.operators if each[0] not in _KNOWN_DOMAINS and each not in findings.functions]
    return [f"operator {operator_name(operator)}" for operator in sorted(foreign)]


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid ONNX model: {what}.", format="onnx")

"""Reads the structure of an ONNX file before ONNX Runtime sees it, and refuses what a served model may not do.

Only the protobuf wire format is walked (https://protobuf.dev/programming-guides/encoding/), field numbers as in
onnx.proto3: weights are skipped, nothing is built, so that a file of gigabytes costs next to nothing. Refused are:

- tensors whose bytes are in another file (``external_data``), which could name any path of this machine;
- operators outside of ``ai.onnx`` and ``ai.onnx.ml``, unless they are functions that the file itself defines;
- files that nest deeper or hold more than any model does.
"""

import dataclasses
from collections.abc import Iterator

from services.inference.engines.engine import ModelRefused

ALLOWED_DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml"})
_MAX_DEPTH = 64  # messages within messages; ONNX Runtime's own parser stops at 100
_MAX_PARTS = 5_000_000

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Which fields of a message are messages that must be looked into.
_PARTS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
_NODE_OP_TYPE, _NODE_DOMAIN = 4, 7
_FUNCTION_NAME, _FUNCTION_DOMAIN = 1, 10
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_MODEL_GRAPH = 7


@dataclasses.dataclass(slots=True)
class _Found:
    graphs: int = 0
    operators: set[tuple[bytes, bytes]] = dataclasses.field(default_factory=set)
    functions: set[tuple[bytes, bytes]] = dataclasses.field(default_factory=set)


def check_onnx(model: bytes) -> None:
    """Go on if ``model`` is an ONNX file that may be served.

    Raises:
        ModelRefused: saying what it holds that it may not.
    """
    found = _Found()
    waiting = [("ModelProto", 0, len(model), 0)]
    for part in range(_MAX_PARTS):
        if not waiting:
            break
        kind, start, end, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ModelRefused(f"The ONNX file nests deeper than {_MAX_DEPTH} messages.")
        if part == _MAX_PARTS - 1:
            raise ModelRefused(f"The ONNX file has more than {_MAX_PARTS} parts.")
        fields = list(_fields(model, start, end))
        _note(kind, fields, model, found)
        inner = _PARTS[kind]
        waiting += [
            (inner[number], value, stop, depth + 1)
            for number, wire, value, stop in fields
            if wire == _BYTES and number in inner
        ]
    if not found.graphs:
        raise ModelRefused("The file is not ONNX: it has no graph.")
    for domain, operator in sorted(found.operators - found.functions):
        if domain not in ALLOWED_DOMAINS:
            raise ModelRefused(f"The ONNX file uses the operator {_text(operator)} of {_text(domain)}.")


def _note(kind: str, fields: list[tuple[int, int, int, int]], model: bytes, found: _Found) -> None:
    def text(wanted: int) -> bytes:
        texts = [model[value:stop] for number, wire, value, stop in fields if number == wanted and wire == _BYTES]
        return texts[-1] if texts else b""  # the last one counts, as in every protobuf parser

    if kind == "NodeProto":
        found.operators.add((text(_NODE_DOMAIN), text(_NODE_OP_TYPE)))
    elif kind == "FunctionProto":
        found.functions.add((text(_FUNCTION_DOMAIN), text(_FUNCTION_NAME)))
    elif kind == "ModelProto":
        found.graphs += sum(number == _MODEL_GRAPH for number, _, _, _ in fields)
    elif kind == "TensorProto":
        for number, wire, value, _ in fields:
            if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and (wire != _VARINT or value)):
                raise ModelRefused("The ONNX file keeps tensors in another file (external data); store them inside.")


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of the message in ``data[start:end]``: number, wire type, then its value, or its begin and end."""
    position = start
    while position < end:
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position, end)
            yield number, wire, value, 0
            continue
        if wire == _BYTES:
            length, position = _varint(data, position, end)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ModelRefused("The file is not ONNX: it is no protobuf message.")
        if number == 0 or length > end - position:
            raise ModelRefused("The file is not ONNX: it is cut short or damaged.")
        yield number, wire, position, position + length
        position += length


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ModelRefused("The file is not ONNX: it is cut short or damaged.")


def _text(word: bytes) -> str:
    return repr(word[:64].decode(errors="replace"))

"""Walks all graphs of an ONNX model: the main one, those within its nodes, those of functions and of training.

Everything that can hold a tensor is walked, since a tensor anywhere can ask for an external file. Field numbers are
those of onnx.proto.
"""

import collections
import dataclasses
from collections.abc import Iterator

from services.registry.formats.facts import MAX_TENSORS, ExternalData, Layer, Tensor
from services.registry.formats.onnx.ends import read_end
from services.registry.formats.onnx.tensor import MAX_NAME, read_tensor
from services.registry.formats.wire import Malformed, Reader, Span

MAX_LAYERS = 10_000
"""Nodes of the main graph that are told by name; of all others the count is."""
_MAX_DEPTH = 200  # of messages: a graph in a graph takes three
_MAX_OPERATORS = 10_000
_MAX_DISTINCT = 255  # characters of an operator's or domain's name

# Where, inside what, something else is nested: field number -> kind.
_NESTED: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
# Texts that are kept until the message they are in has been read: field number -> what it is.
_TEXTS: dict[str, dict[int, str]] = {
    "node": {3: "name", 4: "operator", 7: "domain"},
    "function": {1: "operator", 10: "domain"},
    "graph": {2: "name"},
}


@dataclasses.dataclass(slots=True)
class _Place:
    kind: str
    fields: Iterator[tuple[int, int | Span]]
    is_main_graph: bool = False
    in_main_graph: bool = False
    texts: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Findings:
    """What is in the graphs.

    Attributes:
        initializers: tensors of the main graph; ``inputs``, ``outputs`` and ``layers`` are its own, too.
        operators: how often each is used anywhere, by domain and name; the domain ai.onnx is "".
        functions: operators that the model itself defines.
        node_count: of all graphs.
    """

    graph: str = ""
    inputs: list[Tensor] = dataclasses.field(default_factory=list)
    outputs: list[Tensor] = dataclasses.field(default_factory=list)
    initializers: list[Tensor] = dataclasses.field(default_factory=list)
    external: list[ExternalData] = dataclasses.field(default_factory=list)
    layers: list[Layer] = dataclasses.field(default_factory=list)
    operators: collections.Counter[tuple[str, str]] = dataclasses.field(default_factory=collections.Counter)
    functions: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    node_count: int = 0


def walk(reader: Reader) -> Findings:
    """What is in the graphs of the model.

    Raises:
        Malformed: it breaks a rule of the format, or nests too deep.
    """
    findings = Findings()
    places = [_Place("model", reader.fields(reader.whole()))]
    while places:
        place = places[-1]
        for number, value in place.fields:
            kind = _NESTED[place.kind].get(number)
            if isinstance(value, int):
                continue
            if kind is None:
                _note(reader, place, number, value, findings)
            elif kind == "tensor":
                _note_tensor(reader, value, findings, is_weight=place.is_main_graph)
            else:
                is_main = kind == "graph" and place.kind == "model"
                places.append(_Place(kind, reader.fields(value), is_main, in_main_graph=place.is_main_graph))
                break
        else:
            _leave(places.pop(), findings)
        if len(places) > _MAX_DEPTH:
            raise Malformed(f"it nests deeper than {_MAX_DEPTH} levels")
    return findings


def _note(reader: Reader, place: _Place, number: int, value: Span, findings: Findings) -> None:
    text = _TEXTS.get(place.kind, {}).get(number)
    if text is not None:
        place.texts[text] = reader.text(value)
    elif place.is_main_graph and number in (11, 12):
        ends = findings.inputs if number == 11 else findings.outputs
        ends.append(read_end(reader, value))
        if len(ends) > MAX_TENSORS:
            raise Malformed(f"it has more than {MAX_TENSORS} inputs or outputs")


def _note_tensor(reader: Reader, span: Span, findings: Findings, *, is_weight: bool) -> None:
    tensor, external = read_tensor(reader, span)
    if external is not None:
        findings.external.append(external)
    if is_weight:
        findings.initializers.append(tensor)
    if len(findings.initializers) > MAX_TENSORS or len(findings.external) > MAX_TENSORS:
        raise Malformed(f"it has more than {MAX_TENSORS} tensors")


def _leave(place: _Place, findings: Findings) -> None:
    """Count what has been read to its end."""
    texts = place.texts
    if place.is_main_graph:
        findings.graph = texts.get("name", "")
    if place.kind not in ("node", "function"):
        return
    operator = _domain(texts.get("domain", "")), texts.get("operator", "")
    if len(operator[0]) > _MAX_DISTINCT or len(operator[1]) > _MAX_DISTINCT:
        raise Malformed(f"an operator's name and its domain may have at most {_MAX_DISTINCT} characters")
    if place.kind == "function":
        findings.functions.add(operator)
    else:
        findings.node_count += 1
        findings.operators[operator] += 1
        if place.in_main_graph and len(findings.layers) < MAX_LAYERS:
            findings.layers.append(Layer(texts.get("name", "")[:MAX_NAME], operator_name(operator)))
    if len(findings.operators) > _MAX_OPERATORS or len(findings.functions) > _MAX_OPERATORS:
        raise Malformed(f"it has more than {_MAX_OPERATORS} kinds of operators")


def _domain(told: str) -> str:
    return "" if told == "ai.onnx" else told


def operator_name(operator: tuple[str, str]) -> str:
    """``Conv``, and for what is not of ai.onnx, ``com.microsoft::FusedConv``."""
    domain, name = operator
    return f"{domain}::{name}" if domain else name

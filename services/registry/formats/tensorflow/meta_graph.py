"""Reads one form of a SavedModel: MetaGraphDef (tensorflow/core/protobuf/meta_graph.proto). Constants in its graph are
gone past.
"""

import collections
import dataclasses
from collections.abc import Iterator

from services.registry.formats.content import Content
from services.registry.formats.facts import Signature
from services.registry.formats.tensorflow.objects import Objects, read_objects
from services.registry.formats.tensorflow.signatures import read_signature
from services.registry.formats.wire import Malformed, Reader, Span, signed

FIELDS = frozenset(range(1, 8))
INFO, GRAPH = 1, 2
_SIGNATURE, _ASSET, _OBJECTS = 5, 6, 7
_MAX_OPERATORS = 10_000
_MAX_SIGNATURES = 1000
_MAX_TEXT = 1024
_MAX_TEXTS = 1000
_VARIABLE_OPERATORS = frozenset({"VarHandleOp", "Variable", "VariableV2"})


@dataclasses.dataclass(slots=True)
class MetaGraph:
    """One form of the model, for example the one that serves; ``tags`` say which."""

    tags: list[str] = dataclasses.field(default_factory=list)
    version: str = ""
    git_version: str = ""
    signatures: dict[str, Signature] = dataclasses.field(default_factory=dict)
    operators: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    function_count: int = 0
    producer: int = 0
    assets: list[str] = dataclasses.field(default_factory=list)
    objects: Objects = dataclasses.field(default_factory=Objects)

    @property
    def has_variables(self) -> bool:
        """Whether there are values of its variables in other files."""
        return bool(self.objects.variables) or not _VARIABLE_OPERATORS.isdisjoint(self.operators)


def read_meta_graph(content: Content, reader: Reader, span: Span) -> MetaGraph:
    """What a MetaGraphDef says.

    Raises:
        Malformed
    """
    found = MetaGraph()
    for number, value in reader.fields(span):
        if not isinstance(value, Span):
            continue
        if number == INFO:
            _note_info(reader, value, found)
        elif number == GRAPH:
            _note_graph(reader, value, found)
        elif number == _SIGNATURE:
            _note_signature(reader, value, found)
        elif number == _ASSET:
            found.assets += [_short(reader, name) for name in spans(reader, value, 2)]
            if len(found.assets) > _MAX_TEXTS:
                raise Malformed(f"it has more than {_MAX_TEXTS} assets")
        elif number == _OBJECTS:
            found.objects = read_objects(content, reader, value)
    return found


def _note_signature(reader: Reader, span: Span, found: MetaGraph) -> None:
    signature = read_signature(reader, span)
    if signature is not None:
        found.signatures[signature[0]] = signature[1]
    if len(found.signatures) > _MAX_SIGNATURES:
        raise Malformed(f"it has more than {_MAX_SIGNATURES} signatures")


def _note_info(reader: Reader, span: Span, found: MetaGraph) -> None:
    for number, value in reader.fields(span):
        if number == 4 and isinstance(value, Span):
            found.tags.append(_short(reader, value))
            if len(found.tags) > _MAX_TEXTS:
                raise Malformed(f"it has more than {_MAX_TEXTS} tags")
        elif number == 5 and isinstance(value, Span):
            found.version = _short(reader, value)
        elif number == 6 and isinstance(value, Span):
            found.git_version = _short(reader, value)


def _note_graph(reader: Reader, span: Span, found: MetaGraph) -> None:
    """The operators of a graph and of the functions that it brings."""
    for number, value in reader.fields(span):
        if not isinstance(value, Span):
            continue
        if number == 1:
            _count(reader, value, found)
        elif number == 2:
            for function in spans(reader, value, 1):
                found.function_count += 1
                for node in spans(reader, function, 3):
                    _count(reader, node, found)
        elif number == 4:
            for part, version in reader.fields(value):
                if part == 1 and isinstance(version, int):
                    found.producer = signed(version)


def _count(reader: Reader, node: Span, found: MetaGraph) -> None:
    for operator in spans(reader, node, 2):
        found.operators[reader.text(operator)[:255]] += 1
    if len(found.operators) > _MAX_OPERATORS:
        raise Malformed(f"it uses more than {_MAX_OPERATORS} operators")


def _short(reader: Reader, span: Span) -> str:
    if span.size > _MAX_TEXT:
        raise Malformed(f"a tag, a version or an asset's name is longer than {_MAX_TEXT} bytes")
    return reader.text(span)


def spans(reader: Reader, message: Span, number: int) -> Iterator[Span]:
    """All fields of this number that are messages or texts."""
    return (value for each, value in reader.fields(message) if each == number and isinstance(value, Span))

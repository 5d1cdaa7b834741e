"""Reads the objects of a SavedModel (tensorflow/core/protobuf/saved_object_graph.proto): its variables, by the names
that their makers gave them, and the layers that Keras described.
"""

import collections
import dataclasses

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_TENSORS, Layer, Tensor
from services.registry.formats.keras import config
from services.registry.formats.tensorflow.types import datatype, shape
from services.registry.formats.wire import Malformed, Reader, Span

_MAX_OBJECTS = 200_000
_MAX_REFERENCES = 400_000
_MAX_DEPTH = 64
_MAX_NAME = 255
_MAX_PATH = 1024
_MAX_FOUND = 1000
_MAX_METADATA = 64 * 2**20  # bytes of all configurations together
_KERAS = ("_tf_keras_", "_keras")


@dataclasses.dataclass(slots=True)
class Objects:
    """What the objects say; ``architecture`` is the class of the Keras model that they are."""

    variables: list[Tensor] = dataclasses.field(default_factory=list)
    layers: list[Layer] = dataclasses.field(default_factory=list)
    code: dict[str, None] = dataclasses.field(default_factory=dict)  # in order, each once
    problems: dict[str, None] = dataclasses.field(default_factory=dict)
    architecture: str = ""
    metadata_left: int = _MAX_METADATA

    def note_keras(self, content: Content, path: str, identifier: str, metadata: Span) -> None:
        """Note what Keras wrote of one of its objects.

        Raises:
            Malformed: it is too long, or no JSON.
        """
        self.metadata_left -= metadata.size
        if self.metadata_left < 0:
            raise Malformed(f"the configurations of its layers have more than {_MAX_METADATA} bytes")
        try:
            value = config.parse(bytes(content.read(metadata.begin, metadata.size)))
            found = config.examine(value)
        except config.BadConfig as error:
            raise Malformed(str(error)) from error
        if path == "root":
            self.architecture = config.kind(value)
        elif identifier == "_tf_keras_layer" or config.layers(value):
            self.layers.append(Layer(config.name(value) or path, config.kind(value)))
        for all_, new in ((self.code, found.code), (self.problems, found.problems)):
            if len(all_) < _MAX_FOUND:
                all_.update(new)


@dataclasses.dataclass(slots=True)
class _Node:
    """A SavedObject: what it is, and its parts by their numbers and names."""

    children: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    variable: Tensor | None = None
    identifier: str = ""
    metadata: Span | None = None
    registered: str = ""


def read_objects(content: Content, reader: Reader, graph: Span) -> Objects:
    """What a SavedObjectGraph says.

    Raises:
        Malformed
    """
    nodes, references = [], 0
    for number, field in reader.fields(graph):
        if number == 1 and isinstance(field, Span):
            nodes.append(_node(reader, field))
            references += len(nodes[-1].children)
            if len(nodes) > _MAX_OBJECTS or references > _MAX_REFERENCES:
                raise Malformed(
                    f"it has more than {_MAX_OBJECTS} objects, or {_MAX_REFERENCES} references between them"
                )
    paths = _paths(nodes)
    objects = Objects(variables=_variables(nodes, paths))
    for at, node in enumerate(nodes):
        if node.metadata is not None and node.metadata.size and node.identifier.startswith(_KERAS):
            objects.note_keras(content, _path(paths, at) if at else "root", node.identifier, node.metadata)
        if (
            node.registered
            and len(objects.code) < _MAX_FOUND
            and not node.registered.startswith(("tf.", "tensorflow."))
        ):
            objects.code[f"custom object {node.registered}"] = None
    return objects


def _node(reader: Reader, span: Span) -> _Node:
    node = _Node()
    for number, field in reader.fields(span):
        if not isinstance(field, Span):
            continue
        if number == 1:
            node.children.append(_child(reader, field))
        elif number == 4:
            texts = {each: value for each, value in reader.fields(field) if isinstance(value, Span)}
            node.identifier = reader.text(texts[1])[:_MAX_NAME] if 1 in texts else ""
            node.metadata = texts.get(3)
        elif number == 7:
            node.variable = _variable(reader, field)
        elif number == 13:
            node.registered = reader.text(field)[:_MAX_NAME]
    return node


def _child(reader: Reader, span: Span) -> tuple[int, str]:
    at, name = 0, ""
    for number, field in reader.fields(span):
        if number == 1 and isinstance(field, int):
            at = field
        elif number == 2 and isinstance(field, Span):
            name = reader.text(field)[:_MAX_NAME]
    return at, name


def _variable(reader: Reader, span: Span) -> Tensor:
    name, type_ = "", 0
    dims: tuple[int, ...] = ()
    for number, field in reader.fields(span):
        if number == 1 and isinstance(field, int):
            type_ = field
        elif number == 2 and isinstance(field, Span):
            dims = shape(reader, field)
        elif number == 6 and isinstance(field, Span):
            name = reader.text(field)[:_MAX_PATH]
    return Tensor(name, datatype(type_), dims)


_Paths = dict[int, tuple[int, str]]
"""Of each object that can be reached, but the first: the one that holds it, and its name there."""


def _paths(nodes: list[_Node]) -> _Paths:
    """The shortest way to each object, as TensorFlow names what it saves."""
    paths: _Paths = {0: (-1, "")}
    waiting = collections.deque([0] if nodes else [])
    while waiting:
        at = waiting.popleft()
        for child, name in nodes[at].children:
            if child not in paths and 0 <= child < len(nodes):
                paths[child] = (at, name)
                waiting.append(child)
    return paths


def _path(paths: _Paths, at: int) -> str:
    """``layers/0/kernel``; empty for what cannot be reached, or lies too deep to be named by its path."""
    parts: list[str] = []
    while at > 0:
        if at not in paths or len(parts) > _MAX_DEPTH:
            return ""
        at, name = paths[at]
        parts.append(name)
    path = "/".join(reversed(parts))
    return path if len(path) <= _MAX_PATH else ""


def _variables(nodes: list[_Node], paths: _Paths) -> list[Tensor]:
    """By the names they were given; by path where several were given the same."""
    found = [(at, node.variable) for at, node in enumerate(nodes) if node.variable is not None]
    if len(found) > MAX_TENSORS:
        raise Malformed(f"it has more than {MAX_TENSORS} variables")
    given = collections.Counter(variable.name for _, variable in found)
    return [
        variable
        if variable.name and given[variable.name] == 1
        else variable._replace(name=_path(paths, at) or f"variable {at}")
        for at, variable in found
    ]

"""Reads TensorFlow's ``saved_model.pb`` (tensorflow/core/protobuf/saved_model.proto): what can be called in it, which
operators it uses, and which variables it has.
"""

from collections.abc import Mapping, Sequence

from services.registry.formats.content import Content
from services.registry.formats.facts import ExternalData, FileFacts, Format, InvalidModelFile, Signature
from services.registry.formats.tensorflow.meta_graph import FIELDS, GRAPH, INFO, MetaGraph, read_meta_graph, spans
from services.registry.formats.wire import Malformed, Reader, Span

_MAX_OUTER_FIELDS = 10_000
_VARIABLES = "variables/variables.index"
_SERVING = "serving_default"
# What operators do that reaches out of the computation.
_UNSAFE = {
    "PyFunc": "calls Python",
    "PyFuncStateless": "calls Python",
    "EagerPyFunc": "calls Python",
    "ReadFile": "reads any file",
    "WriteFile": "writes any file",
}


def fits(content: Content) -> bool:
    """Whether the content as a whole has the structure of a SavedModel: a version, and graphs with the known parts."""
    reader = Reader(content, _MAX_OUTER_FIELDS)
    try:
        seen: set[int] = set()
        for number, value in reader.fields(reader.whole()):
            if number == 2 and isinstance(value, Span):
                parts = list(reader.fields(value))
                seen |= {part for part, _ in parts}
                if not all(part in FIELDS and isinstance(inner, Span) for part, inner in parts):
                    return False
            elif number != 1 or not isinstance(value, int):
                return False
    except Malformed:
        return False
    return INFO in seen and GRAPH in seen


def read(content: Content) -> FileFacts:
    """What the model says of itself. The variables' values are in files of their own; see
    :mod:`services.registry.formats.tensorflow.variables`.

    Raises:
        InvalidModelFile
    """
    reader = Reader(content)
    try:
        graphs = [read_meta_graph(content, reader, span) for span in spans(reader, reader.whole(), 2)]
    except Malformed as error:
        raise InvalidModelFile(f"Not a valid SavedModel: {error}.", format="tensorflow_saved_model") from error
    # The form that serves first; what another form says as well does not count twice.
    graphs.sort(key=lambda graph: "serve" not in graph.tags)
    signatures: dict[str, Signature] = {}
    for graph in reversed(graphs):
        signatures.update(graph.signatures)
    main = graphs[0]
    served = signatures.get(_SERVING) or (
        next(iter(signatures.values())) if len(signatures) == 1 else Signature((), ())
    )
    return FileFacts(
        Format.TENSORFLOW_SAVED_MODEL,
        tensors=main.objects.variables,
        inputs=served.inputs,
        outputs=served.outputs,
        signatures=dict(sorted(signatures.items())),
        properties=_properties(graphs),
        external=[ExternalData(_VARIABLES, 0)] if any(graph.has_variables for graph in graphs) else [],
        framework="tensorflow",
        framework_version=main.version,
        architecture=main.objects.architecture,
        layers=main.objects.layers,
        operators=dict(sorted(main.operators.items())),
        opsets={"tensorflow": main.producer} if main.producer else {},
        code=_code(graphs),
        problems=_problems(graphs),
    )


def _properties(graphs: Sequence[MetaGraph]) -> Mapping[str, str]:
    main = graphs[0]
    told = {
        "tags": "; ".join(", ".join(graph.tags) for graph in graphs)[:4096],
        "tensorflow_git_version": main.git_version,
        "node_count": str(sum(main.operators.values())),
        "function_count": str(main.function_count),
        "assets": ", ".join(main.assets)[:4096],
    }
    return {key: text for key, text in told.items() if text}


def _code(graphs: Sequence[MetaGraph]) -> Sequence[str]:
    """Operators that TensorFlow does not bring, which have the name of a package before them, and others that call
    Python; foreign classes."""
    operators = sorted({operator for graph in graphs for operator in graph.operators})
    foreign = [f"operator {name}" for name in operators if ">" in name or _UNSAFE.get(name) == "calls Python"]
    return [*foreign, *dict.fromkeys(code for graph in graphs for code in graph.objects.code)]


def _problems(graphs: Sequence[MetaGraph]) -> Sequence[str]:
    operators = {operator for graph in graphs for operator in graph.operators}
    found = [f"operator {operator} {does}" for operator, does in _UNSAFE.items() if operator in operators]
    for graph in graphs:
        found += [f"it takes {name[:255]!r} for an asset" for name in graph.assets if _leads_out(name)]
        found += graph.objects.problems
    return list(dict.fromkeys(found))


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name

"""Reads the functions of a SavedModel that can be called: SignatureDef (tensorflow/core/protobuf/meta_graph.proto)."""

from services.registry.formats.facts import Signature, Tensor
from services.registry.formats.tensorflow.types import datatype, shape
from services.registry.formats.wire import Malformed, Reader, Span

MAX_ENDS = 10_000
_MAX_NAME = 1024
# TensorFlow's own, which nobody calls: they initialise, and hold what training needs.
_INTERNAL = frozenset({"__saved_model_init_op", "__saved_model_train_op"})


def entry(reader: Reader, span: Span) -> tuple[str, Span]:
    """Key and value of one entry of a map whose values are messages.

    Raises:
        Malformed
    """
    key, value = "", Span(span.end, span.end)
    for number, field in reader.fields(span):
        if number == 1 and isinstance(field, Span):
            key = reader.text(field)
        elif number == 2 and isinstance(field, Span):
            value = field
    if len(key) > _MAX_NAME:
        raise Malformed(f"a name may have at most {_MAX_NAME} characters")
    return key, value


def read_signature(reader: Reader, span: Span) -> tuple[str, Signature] | None:
    """Name and ends of a function, out of its entry in the map; None for one of TensorFlow's own.

    Raises:
        Malformed
    """
    name, value = entry(reader, span)
    if name in _INTERNAL:
        return None
    ends: dict[int, list[Tensor]] = {1: [], 2: []}
    for number, field in reader.fields(value):
        if number in ends and isinstance(field, Span):
            ends[number].append(_end(reader, field))
            if len(ends[number]) > MAX_ENDS:
                raise Malformed(f"a signature has more than {MAX_ENDS} inputs or outputs")
    return name, Signature(*(sorted(each, key=lambda tensor: tensor.name) for each in ends.values()))


def _end(reader: Reader, span: Span) -> Tensor:
    name, info = entry(reader, span)
    type_ = ""
    dims: tuple[int, ...] = ()
    for number, field in reader.fields(info):
        if number == 2 and isinstance(field, int):
            type_ = datatype(field)
        elif number == 3 and isinstance(field, Span):
            dims = shape(reader, field)
    return Tensor(name, type_, dims)

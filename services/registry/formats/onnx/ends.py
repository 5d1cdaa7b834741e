"""Reads what goes into an ONNX graph and what comes out: ValueInfoProto."""

from services.registry.formats.facts import Tensor
from services.registry.formats.onnx.tensor import MAX_NAME, MAX_RANK, TYPES
from services.registry.formats.wire import Malformed, Reader, Span, signed

_OTHERS = {4: "SEQUENCE", 5: "MAP", 8: "SPARSE", 9: "OPTIONAL"}
"""What TypeProto has beside dense tensors, by the numbers of its fields."""


def read_end(reader: Reader, span: Span) -> Tensor:
    """Name, type and shape, -1 for a dimension that varies; of what is no dense tensor what it is, ``SEQUENCE``.

    Raises:
        Malformed
    """
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
    datatype, shape = "", list[int]()
    for number, value in reader.fields(span):
        if number in _OTHERS:
            datatype, shape = _OTHERS[number], []
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

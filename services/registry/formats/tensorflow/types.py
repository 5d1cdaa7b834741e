"""Types and shapes as TensorFlow's messages say them (tensorflow/core/framework/types.proto, tensor_shape.proto)."""

import math

from services.registry.formats.facts import MAX_INT64
from services.registry.formats.wire import Malformed, Reader, Span, signed

MAX_RANK = 64
_REFERENCE = 100  # added to a type: a reference to such a value

# By DataType: the type in Open Inference Protocol notation (our own spelling where it has none) and the bytes of one
# element in a file of variables (0: not of one size).
TYPES: dict[int, tuple[str, int]] = {
    1: ("FP32", 4),
    2: ("FP64", 8),
    3: ("INT32", 4),
    4: ("UINT8", 1),
    5: ("INT16", 2),
    6: ("INT8", 1),
    7: ("BYTES", 0),
    8: ("COMPLEX64", 8),
    9: ("INT64", 8),
    10: ("BOOL", 1),
    11: ("QINT8", 1),
    12: ("QUINT8", 1),
    13: ("QINT32", 4),
    14: ("BF16", 2),
    15: ("QINT16", 2),
    16: ("QUINT16", 2),
    17: ("UINT16", 2),
    18: ("COMPLEX128", 16),
    19: ("FP16", 2),
    20: ("RESOURCE", 0),
    21: ("VARIANT", 0),
    22: ("UINT32", 4),
    23: ("UINT64", 8),
    24: ("FP8_E5M2", 1),
    25: ("FP8_E4M3", 1),
    26: ("FP8_E4M3FNUZ", 1),
    27: ("FP8_E4M3B11FNUZ", 1),
    28: ("FP8_E5M2FNUZ", 1),
    29: ("INT4", 1),
    30: ("UINT4", 1),
}


def datatype(number: int) -> str:
    """The type's name; empty for none, or one that is not known."""
    return TYPES.get(number - _REFERENCE if number > _REFERENCE else number, ("", 0))[0]


def shape(reader: Reader, span: Span) -> tuple[int, ...]:
    """The dimensions of a TensorShapeProto, -1 for one that varies; none where not even their number is known.

    Raises:
        Malformed: too many, or their product overflows.
    """
    dims: list[int] = []
    for number, value in reader.fields(span):
        if number == 2 and isinstance(value, Span):
            sizes = [signed(size) for field, size in reader.fields(value) if field == 1 and isinstance(size, int)]
            dims.append(max(sizes[-1] if sizes else 0, -1))
        if len(dims) > MAX_RANK:
            raise Malformed(f"a shape has more than {MAX_RANK} dimensions")
    if math.prod(map(abs, dims)) > MAX_INT64 // 128:
        raise Malformed("a shape overflows")
    return tuple(dims)

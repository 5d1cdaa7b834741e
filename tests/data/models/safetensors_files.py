"""Safetensors files, good and bad."""

import json
import math
import struct
from typing import Any


def safetensors(**shapes: tuple[int, ...]) -> bytes:
    """A file of float32 zeros, a tensor for each shape."""
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, end]}
        position = end
    return with_header(header, bytes(position))


def with_header(header: Any, data: bytes = b"") -> bytes:
    """A file with this header, given as a JSON value or as text, and data."""
    text = header if isinstance(header, str) else json.dumps(header)
    return with_length(len(text.encode()), text, data)


def with_length(length: int, header: str, data: bytes = b"") -> bytes:
    """A file that claims this header length."""
    return struct.pack("<Q", length) + header.encode() + data

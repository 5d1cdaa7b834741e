"""Safetensors files, good and bad."""

import json
import math
import struct
from collections.abc import Callable, Mapping
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


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    """A tensor's description in a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


# Two tensors as the reference writes them.
_PAIR = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'

REFUSED: Mapping[str, Callable[[], bytes]] = {
    "header longer than the file": lambda: with_length(1000, "{}"),
    "header over 100 MB": lambda: with_length(100_000_001, "{}"),
    "header length of 2^64 - 1": lambda: with_length(2**64 - 1, '{"a":1}'),
    "cut in the data": lambda: safetensors(a=(4,))[:-1],
    "data left over": lambda: safetensors(a=(4,)) + b"x",
    "overlap": lambda: with_header({"a": entry(), "b": entry(offsets=(2, 6))}, bytes(6)),
    "hole": lambda: with_header({"a": entry(), "b": entry(offsets=(8, 12))}, bytes(12)),
    "begins after zero": lambda: with_header({"a": entry(offsets=(4, 8))}, bytes(8)),
    "end before begin": lambda: with_header({"a": entry(offsets=(4, 0))}, bytes(4)),
    "negative offset": lambda: with_header({"a": entry(offsets=(-4, 0))}),
    "size is not that of the shape": lambda: with_header({"a": entry(shape=(2,))}, bytes(4)),
    "shape that overflows": lambda: with_header({"a": entry(shape=(2**32, 2**32))}, bytes(4)),
    "shape that overflows to its size": lambda: with_header({"a": entry(shape=(2**62, 4, 2**62))}, bytes(4)),
    "negative dimension": lambda: with_header({"a": entry(shape=(-1,))}, bytes(4)),
    "dimension that is no whole number": lambda: with_header({"a": entry(shape=(1.0,))}, bytes(4)),
    "dimension that is true": lambda: with_header({"a": entry(shape=(True,))}, bytes(4)),
    "number of 5,000 digits": lambda: with_header(
        '{"a":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,4]}}'
    ),
    "a thousand dimensions": lambda: with_header({"a": entry(shape=[1] * 1000)}, bytes(4)),
    "unknown dtype": lambda: with_header({"a": entry(dtype="Q8")}, bytes(4)),
    "dtype that is no text": lambda: with_header({"a": entry(dtype=["F32"])}, bytes(4)),
    "part of a byte": lambda: with_header({"a": entry(dtype="F4", shape=(1,), offsets=(0, 1))}, bytes(1)),
    "unknown member": lambda: with_header({"a": {**entry(), "x": 1}}, bytes(4)),
    "missing member": lambda: with_header({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "three offsets": lambda: with_header({"a": entry(offsets=(0, 4, 4))}, bytes(4)),
    "a tensor that is a list": lambda: with_header({"a": [1]}),
    "tensor twice": lambda: with_header(f'{{"a":{json.dumps(entry())},"a":{json.dumps(entry())}}}', bytes(4)),
    "member twice": lambda: with_header(
        '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
    "metadata that is no text": lambda: with_header({"__metadata__": {"a": 1}}),
    "NaN": lambda: with_header('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)),
    "nested 10,000 deep": lambda: with_header('{"a":' + "[" * 10_000 + "]" * 10_000 + "}"),
    "not closed": lambda: with_header('{"a":'),
    "text after the object": lambda: with_header("{} x"),
    "two objects": lambda: with_header("{}{}"),
    "not UTF-8": lambda: (3).to_bytes(8, "little") + b'{"\xff',
    "name with NUL": lambda: with_header({"a\0b": entry()}, bytes(4)),
    "name of 2,000 characters": lambda: with_header({"a" * 2000: entry()}, bytes(4)),
    "entry of 100,000 characters": lambda: with_header({"a": {**entry(), "x" * 100_000: 1}}, bytes(4)),
    "name that is half a character": lambda: with_header(
        '{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
    "number with a zero before it": lambda: with_header(
        '{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', bytes(4)
    ),
    "offsets with a zero before them": lambda: with_header(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[00,4]}}', bytes(4)
    ),
    "comma after the last tensor": lambda: with_header(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}', bytes(4)
    ),
    "tensors without a comma between them": lambda: with_header(_PAIR.replace("},", "}", 1), bytes(8)),
    "something else than a comma between tensors": lambda: with_header(_PAIR.replace("},", "};", 1), bytes(8)),
    "text before the first tensor": lambda: with_header(_PAIR.replace("{", "{ x", 1), bytes(8)),
    "no end": lambda: with_header(_PAIR[:-1], bytes(8)),
    "metadata twice": lambda: with_header('{"__metadata__":{},"__metadata__":{}}'),
    "metadata that is a tensor": lambda: with_header({"__metadata__": entry()}, bytes(4)),
    "100,001 tensors": lambda: with_header(
        {str(number): entry(shape=(0,), offsets=(0, 0)) for number in range(100_001)}
    ),
}
"""What is refused, by what is wrong with it."""


def index(files: Mapping[str, Any]) -> bytes:
    """An index that says which file each tensor is in."""
    return json.dumps({"metadata": {"total_size": 12}, "weight_map": files}).encode()


_SHARD = "model-00001-of-00001.safetensors"

REFUSED_INDEXES: Mapping[str, Callable[[], bytes]] = {
    "../": lambda: index({"a": "../other.safetensors"}),
    "absolute": lambda: index({"a": "/etc/weights.safetensors"}),
    "file in a folder": lambda: index({"a": "folder/x.safetensors"}),
    "drive letter": lambda: index({"a": "C:x.safetensors"}),
    "file name that is no text": lambda: index({"a": _SHARD, "b": ["x"]}),
    "file name that is an object": lambda: index({"a": _SHARD, "b": {"x": _SHARD}}),
    "tensor twice": lambda: index({"a": _SHARD, "b": _SHARD}).replace(b'"b"', b'"a"'),
    "name with NUL": lambda: index({"a\0": _SHARD}),
    "name that is half a character": lambda: index({"\ud800": _SHARD}),
    "name of 2,000 characters": lambda: index({"a": _SHARD, "b" * 2000: _SHARD}),
    "cut": lambda: index({"a": _SHARD})[:-2],
    "no comma": lambda: index({"a": _SHARD, "b": _SHARD}).replace(b', "b', b' "b'),
    "not UTF-8": lambda: index({"a": _SHARD, "b": _SHARD}).replace(b'"b"', b'"\xff"'),
    "nested 10,000 deep": lambda: index({"a": _SHARD, "b": 0}).replace(b": 0", b": " + b"[" * 10_000 + b"]" * 10_000),
    "100,001 tensors": lambda: index({str(number): _SHARD for number in range(100_001)}),
}
"""Indexes that are refused, by what is wrong with them."""

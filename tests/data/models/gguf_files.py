"""GGUF files: as llama.cpp's own writer writes them, and made by hand to deceive a reader."""

import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

UINT32, TEXT, ARRAY = 4, 8, 9


def written(tensors: Mapping[str, Any], architecture: str = "llama", **pairs: Any) -> bytes:
    """A file with these arrays, or pairs of packed bytes and their type, as the gguf package writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        writer = GGUFWriter(path, architecture)
        for key, value in pairs.items():
            scalars: dict[type, Any] = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
            add = scalars.get(type(value), writer.add_string if isinstance(value, str) else writer.add_array)
            add(key.replace("__", "."), value)
        for name, array in tensors.items():
            packed, kind = array if isinstance(array, tuple) else (array, None)
            writer.add_tensor(name, packed, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def small() -> bytes:
    """A file with a tensor of two rows, a quantized one, and a vocabulary."""
    quantized = np.zeros((4, 2 * 34), np.uint8), GGMLQuantizationType.Q8_0
    return written(
        {"a": np.ones((2, 3), np.float32), "b": quantized}, tokenizer__tokens=["x", "yz"], general__name="small"
    )


def text(value: str | bytes) -> bytes:
    """A text with its length."""
    content = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(content)) + content


def pair(key: str, kind: int, value: bytes) -> bytes:
    """A key and its value."""
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str = "a", shape: tuple[int, ...] = (8,), kind: int = 0, offset: int = 0) -> bytes:
    """What the head says of a tensor; the innermost dimension comes first."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def file(
    pairs: tuple[bytes, ...] = (), tensors: tuple[bytes, ...] = (), data: int = 0, version: int = 3, **counts: int
) -> bytes:
    """A file with these, which may claim other ``tensor_count`` and ``pair_count`` than it has."""
    tensor_count, pair_count = counts.get("tensor_count", len(tensors)), counts.get("pair_count", len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensor_count, pair_count) + b"".join((*pairs, *tensors))
    return head + bytes(-len(head) % 32 + data)


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "nothing but the letters": lambda: b"GGUF",
    "version 1": lambda: file(version=1),
    "version 99": lambda: file(version=99),
    "big-endian": lambda: b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "2^60 tensors": lambda: file(tensor_count=2**60),
    "2^60 pairs": lambda: file(pair_count=2**60),
    "more tensors than there are": lambda: file(tensors=(tensor(),), data=32, tensor_count=2),
    "more pairs than there are": lambda: file(pair_count=2),
    "text of 2^63 bytes": lambda: file((struct.pack("<Q", 2**63),), pair_count=1),
    "key of 1 MB": lambda: file((pair("a" * 2**20, UINT32, bytes(4)),)),
    "key that is not UTF-8": lambda: file((text(b"\xff") + struct.pack("<II", UINT32, 1),)),
    "key with NUL": lambda: file((pair("a\0b", UINT32, bytes(4)),)),
    "key twice": lambda: file((pair("a", UINT32, bytes(4)),) * 2),
    "unknown type of a value": lambda: file((pair("a", 13, bytes(8)),)),
    "array of arrays": lambda: file((pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1)),)),
    "array of an unknown type": lambda: file((pair("a", ARRAY, struct.pack("<IQ", 77, 1)),)),
    "array of 2^61 numbers": lambda: file((pair("a", ARRAY, struct.pack("<IQ", UINT32, 2**61)),)),
    "array of 2^61 texts": lambda: file((pair("a", ARRAY, struct.pack("<IQ", TEXT, 2**61)),)),
    "array of texts that leads out": lambda: file((pair("a", ARRAY, struct.pack("<IQQ", TEXT, 2, 2**62)),)),
    "alignment of 0": lambda: file((pair("general.alignment", UINT32, struct.pack("<I", 0)),)),
    "alignment of 48": lambda: file((pair("general.alignment", UINT32, struct.pack("<I", 48)),)),
    "alignment that is a text": lambda: file((pair("general.alignment", TEXT, text("wide")),)),
    "a hundred dimensions": lambda: file(tensors=(tensor(shape=(1,) * 100),), data=32),
    "shape that overflows": lambda: file(tensors=(tensor(shape=(2**40, 2**40)),), data=32),
    "rows that are no blocks": lambda: file(tensors=(tensor(shape=(33,), kind=8),), data=64),
    "tensor beyond the end": lambda: file(tensors=(tensor(shape=(9,)),), data=32),
    "tensor twice": lambda: file(tensors=(tensor(), tensor(offset=32)), data=64),
    "tensors that overlap": lambda: file(tensors=(tensor(), tensor("b")), data=64),
    "hole between tensors": lambda: file(tensors=(tensor(), tensor("b", offset=64)), data=128),
    "offset that is not aligned": lambda: file(tensors=(tensor(), tensor("b", offset=33)), data=128),
    "offset of 2^63": lambda: file(tensors=(tensor(offset=2**63),), data=128),
    "cut in the data": lambda: small()[:-40],
}
"""What is refused, by what is wrong with it."""

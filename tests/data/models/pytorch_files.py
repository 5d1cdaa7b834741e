"""PyTorch's archives around pickles and programs that attack, and ones of any size of which next to nothing exists."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tests.data.models.pickles import touch, touching_code
from tests.data.models.zips import by_name

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def archive(data: bytes, others: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """An archive as torch.save writes it, around this ``data.pkl``, with other members."""
    members = {"data.pkl": data, "version": b"3\n", **others}
    return by_name({f"archive/{name}": content for name, content in members.items()})


def script(data: bytes) -> bytes:
    """A TorchScript archive around this ``data.pkl``."""
    return archive(data, {"constants.pkl": b"\x80\x02).", "code/__torch__.py": b""})


def legacy(data: bytes) -> bytes:
    """The old form around this object."""
    return MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s." + data + b"\x80\x02]."


def tensor_pickle(**changed: bytes) -> bytes:
    """A state dict of one float32 tensor ``w`` of shape (2,) in the storage ``0``, with parts written otherwise."""
    parts = {
        "kind": b"U\x07storage",
        "class": b"ctorch\nFloatStorage\n",
        "key": b"U\x010",
        "count": b"K\x02",
        "offset": b"K\x00",
        "size": b"K\x02\x85",
        "stride": b"K\x01\x85",
    } | changed
    storage = b"(" + parts["kind"] + parts["class"] + parts["key"] + b"U\x03cpu" + parts["count"] + b"tQ"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + parts["offset"] + parts["size"] + parts["stride"]
    return b"\x80\x02}U\x01w" + call + b"\x89}tRs."


MALFORMED: Mapping[str, bytes] = {
    "a tensor beyond its storage": tensor_pickle(size=b"K\x03\x85"),
    "an offset beyond the storage": tensor_pickle(offset=b"K\x01"),
    "a negative offset": tensor_pickle(offset=b"J\xff\xff\xff\xff"),
    "a negative size": tensor_pickle(size=b"J\xff\xff\xff\xff\x85"),
    "a negative stride": tensor_pickle(stride=b"J\xff\xff\xff\xff\x85"),
    "a stride beyond the storage": tensor_pickle(stride=b"J\xff\xff\xff\x7f\x85"),
    "a shape that overflows": tensor_pickle(size=b"(" + b"J\xff\xff\xff\x7f" * 3 + b"t", stride=b"(K\x00K\x00K\x00t"),
    "a thousand dimensions": tensor_pickle(size=b"(" + b"K\x01" * 1000 + b"t", stride=b"(" + b"K\x01" * 1000 + b"t"),
    "strides that do not fit": tensor_pickle(stride=b")"),
    "a size that is a text": tensor_pickle(size=b"U\x012\x85"),
    "a size that is true": tensor_pickle(size=b"\x88\x85"),
    "a storage that is not there": tensor_pickle(key=b"U\x011"),
    "a storage elsewhere": tensor_pickle(key=b"U\x0a../version"),
    "a storage of another size": tensor_pickle(count=b"K\x04"),
    "a storage of 2^60 elements": tensor_pickle(count=b"\x8a\x08" + (2**60).to_bytes(8, "little")),
    "a kind of storage that is none": tensor_pickle(**{"class": b"ctorch\nlong\n"}),
    "another persistent id": tensor_pickle(kind=b"U\x06secret"),
    "bytes after the pickle": tensor_pickle() + b"\x80\x02}.",
    "no pickle": b"no pickle at all",
}
"""By what is wrong: the ``data.pkl`` of an archive whose storage ``0`` has 8 bytes."""


class _Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc(x))


def exported(change: Callable[[dict[str, Any]], None] = lambda _: None) -> bytes:
    """An exported program with a batch of 2 to 64 rows of 4, its JSON changed."""
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(_Linear(), (torch.zeros(3, 4),), dynamic_shapes={"x": {0: batch}})
    content = io.BytesIO()
    torch.export.save(program, content)
    members = {}
    with zipfile.ZipFile(content) as written:
        for name in written.namelist():
            members[name] = written.read(name)
            if name.endswith("models/model.json"):
                root = json.loads(members[name])
                change(root)
                members[name] = json.dumps(root).encode()
    return by_name(members)


def _guard(canary: Path) -> bytes:
    return exported(lambda root: root.update(guards_code=[f"[{touching_code(canary)}]"]))


def _expression(canary: Path) -> bytes:
    def change(root: dict[str, Any]) -> None:
        for each in objects(root):
            if "expr_str" in each:
                each["expr_str"] = f"__import__('os').system('{touch(canary)}')"

    return exported(change)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in JSON."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(each)


EXPORT_ATTACKS: Mapping[str, Callable[[Path], bytes]] = {"a guard": _guard, "a size's expression": _expression}
"""Exported programs that run Python when they are loaded."""


def sparse(count: int, tensor_bytes: int) -> tuple[int, Callable[[int, int], bytes]]:
    """An archive of ``count`` float32 tensors: its size, and what gives a range of it. Zeros are nowhere kept."""
    pieces: dict[int, bytes] = {}
    entries, position = [], 0
    elements = struct.pack("<Q", tensor_bytes // 4)
    number, one = b"\x8a\x08" + elements, b"K\x01\x85"
    data = b"\x80\x02}("
    for index in range(count):
        key = b"U" + bytes([len(str(index))]) + str(index).encode()
        tensor = tensor_pickle(key=key, count=number, size=number + b"\x85", stride=one)
        data += key + tensor[tensor.index(b"ctorch._utils") : -2]
    members: list[tuple[bytes, bytes | int]] = [(b"a/data.pkl", data + b"u."), (b"a/version", b"3\n")]
    members += [(f"a/data/{index}".encode(), tensor_bytes) for index in range(count)]
    for name, content in members:
        size, crc = (content, 0) if isinstance(content, int) else (len(content), zlib.crc32(content))
        own = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, crc, size, size, len(name), 0) + name
        pieces[position] = own if isinstance(content, int) else own + content
        at = struct.pack("<HHQ", 1, 8, position)
        entries.append(
            struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, crc, size, size, len(name), 12, 0, 0, 0, 0, 2**32 - 1
            )
            + name
            + at
        )
        position += len(own) + size
    directory = b"".join(entries)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *[len(entries)] * 2, len(directory), position)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, position + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *[len(entries)] * 2, len(directory), 2**32 - 1, 0)
    pieces[position] = directory + end64 + locator + end

    def fetch(begin: int, length: int) -> bytes:
        content = bytearray(length)
        for at, piece in pieces.items():
            low, high = max(begin, at), min(begin + length, at + len(piece))
            if low < high:
                content[low - begin : high - begin] = piece[low - at : high - at]
        return bytes(content)

    return position + len(pieces[position]), fetch

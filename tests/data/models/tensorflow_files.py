"""TensorFlow's files, good and bad: SavedModels out of its own messages, and the tables of variables beside them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorboard.compat.proto import meta_graph_pb2, saved_object_graph_pb2, types_pb2

DT_FLOAT, DT_STRING, DT_INT64 = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_INT64
BYTES = {DT_FLOAT: 4, DT_STRING: 0, DT_INT64: 8}
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


# saved_model.pb


def saved_model(*graphs: meta_graph_pb2.MetaGraphDef) -> bytes:
    """The file that holds these forms of a model."""
    return b"\x08\x01" + b"".join(field(2, graph.SerializeToString()) for graph in graphs)


def meta_graph(tag: str = "serve", operators: Sequence[str] = ("MatMul",)) -> meta_graph_pb2.MetaGraphDef:
    """A form with these operators, and one function ``serving_default`` from x[?, 4] to y[?, 3]."""
    graph = meta_graph_pb2.MetaGraphDef()
    graph.meta_info_def.tags.append(tag)
    graph.meta_info_def.tensorflow_version = "2.18.0"
    graph.graph_def.versions.producer = 1882
    for number, operator in enumerate(operators):
        graph.graph_def.node.add(name=f"n{number}", op=operator)
    signature = graph.signature_def["serving_default"]
    for ends, name, width in ((signature.inputs, "x", 4), (signature.outputs, "y", 3)):
        ends[name].dtype = DT_FLOAT
        for size in (-1, width):
            ends[name].tensor_shape.dim.add(size=size)
    return graph


def with_variables(graph: meta_graph_pb2.MetaGraphDef, *names: str) -> meta_graph_pb2.MetaGraphDef:
    """With float variables [4, 3] below the first object, as ``layer/0``, ``layer/1``, and so on."""
    objects = graph.object_graph_def
    root = objects.nodes.add()
    root.children.add(node_id=1, local_name="layer")
    layer = objects.nodes.add()
    for number, name in enumerate(names):
        layer.children.add(node_id=number + 2, local_name=str(number))
        variable = objects.nodes.add().variable
        variable.name, variable.dtype = name, DT_FLOAT
        for size in (4, 3):
            variable.shape.dim.add(size=size)
    return graph


def with_keras_layer(graph: meta_graph_pb2.MetaGraphDef, config: Any) -> meta_graph_pb2.MetaGraphDef:
    """With an object that Keras described."""
    node = graph.object_graph_def.nodes.add()
    node.user_object.CopyFrom(
        saved_object_graph_pb2.SavedUserObject(identifier="_tf_keras_layer", metadata=json.dumps(config))
    )
    return graph


def keras_metadata(*described: tuple[str, str, Any]) -> bytes:
    """``keras_metadata.pb`` out of path, identifier and configuration of each object."""
    return b"".join(
        field(1, field(3, path.encode()) + field(4, identifier.encode()) + field(5, json.dumps(config).encode()))
        for path, identifier, config in described
    )


# variables.index


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    number &= 2**64 - 1
    content = b""
    while number >= 0x80:
        content += bytes([number & 0x7F | 0x80])
        number >>= 7
    return content + bytes([number])


def field(number: int, value: bytes | int) -> bytes:
    """A field of a message: of bytes, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def crc32c(content: bytes) -> int:
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def block(entries: Sequence[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    """Entries in which a key says only what differs from the one before, but for every ``interval``-th."""
    content, before, restarts = b"", b"", []
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % interval:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(content))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    restarts = restarts or [0]
    return content + b"".join(each.to_bytes(4, "little") for each in (*restarts, len(restarts)))


def sealed(content: bytes, compression: int = 0) -> bytes:
    """A block with its trailer."""
    crc = crc32c(content + bytes([compression]))
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return content + bytes([compression]) + masked.to_bytes(4, "little")


def table(blocks: Sequence[bytes], last_keys: Sequence[bytes], *, compression: int = 0) -> bytes:
    """A table out of blocks."""
    content, places = b"", []
    for each in blocks:
        places.append(varint(len(content)) + varint(len(each)))
        content += sealed(each, compression)
    return ended(content, list(zip(last_keys, places, strict=True)))


def ended(content: bytes, index: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A table out of its sealed blocks and what the block of the blocks says."""
    nothing, blocks = block([]), block(index, 1)
    footer = varint(len(content)) + varint(len(nothing))
    footer += varint(len(content) + len(nothing) + 5) + varint(len(blocks))
    return content + sealed(nothing) + sealed(blocks) + footer.ljust(40, b"\0") + _MAGIC


def index(entries: Mapping[bytes, bytes], shards: int = 1, per_block: int = 4) -> bytes:
    """``variables.index`` that says these entries."""
    listed = [(b"", field(1, shards) + field(3, field(1, 1))), *sorted(entries.items())]
    parts = [listed[at : at + per_block] for at in range(0, len(listed), per_block)]
    return table([block(part) for part in parts], [part[-1][0] for part in parts])


def entry(type_: int, shape: Sequence[int], shard: int = 0, begin: int = 0, size: int | None = None) -> bytes:
    """What is said of one variable."""
    dims = b"".join(field(2, field(1, each)) for each in shape)
    numbers = {3: shard, 4: begin, 5: BYTES[type_] * math.prod(shape) if size is None else size}
    said = b"".join(field(number, value) for number, value in numbers.items() if value)
    return field(1, type_) + field(2, dims) + said


def variables(shapes: Mapping[str, Sequence[int]], shards: int = 1) -> Mapping[str, bytes]:
    """A folder of float variables, all zeros, dealt out to data files in turn."""
    entries, ends = {}, [0] * shards
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        shard = number % shards
        entries[name.encode()] = entry(DT_FLOAT, shape, shard, ends[shard])
        ends[shard] += 4 * math.prod(shape)
    files = {f"variables.data-{number:05d}-of-{shards:05d}": bytes(end) for number, end in enumerate(ends)}
    return {"variables.index": index(entries, shards), **files}


_GOOD = {b"a": entry(DT_FLOAT, (2,)), b"b": entry(DT_INT64, (3,), begin=8)}
_BLOCK = block([(b"", field(1, 1)), (b"a", _GOOD[b"a"])])
_LAMBDA = {"class_name": "Lambda", "config": {"name": "twice", "function": ["4wEAAA==", None, None]}}


def _shared_bomb() -> bytes:
    header = field(1, 1)
    grown = varint(0) + varint(0) + varint(len(header)) + header + varint(0) + varint(4000) + varint(0) + b"k" * 4000
    grown += b"".join(varint(4000 + number) + varint(1) + varint(0) + b"k" for number in range(1000))
    return table([grown + bytes(4) + (1).to_bytes(4, "little")], [b"l"])


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "changed byte": lambda: index(_GOOD).replace(_GOOD[b"a"], _GOOD[b"b"][: len(_GOOD[b"a"])]),
    "compressed block": lambda: table([_BLOCK], [b"a"], compression=1),
    "no entries": lambda: table([], []),
    "block outside of the file": lambda: ended(sealed(_BLOCK), [(b"a", varint(0) + varint(2**40))]),
    "block that is there twice": lambda: ended(
        sealed(_BLOCK), [(b"a", varint(0) + varint(len(_BLOCK))), (b"b", varint(0) + varint(len(_BLOCK)))]
    ),
    "keys out of order": lambda: table([block([(b"", field(1, 1)), (b"b", b""), (b"a", b"")])], [b"b"]),
    "key that grows with each entry": _shared_bomb,
    "restarts beyond the block": lambda: table([b"\xff\xff\xff\x7f"], [b"a"]),
    "number without an end": lambda: table([b"\xff" * 12 + bytes(4) + b"\1\0\0\0"], [b"a"]),
    "larger than an index can be": lambda: bytes(17 * 2**20) + index(_GOOD),
    "no shards": lambda: index({}, shards=0),
    "2^31 shards": lambda: index({}, shards=2**31),
    "shard that there is not": lambda: index({b"a": entry(DT_FLOAT, (2,), shard=1)}),
    "negative shard": lambda: index({b"a": entry(DT_FLOAT, (2,), shard=-1)}),
    "negative offset": lambda: index({b"a": entry(DT_FLOAT, (2,), begin=-8)}),
    "offset that overflows": lambda: index({b"a": entry(DT_FLOAT, (2,), begin=2**63 - 1)}),
    "negative dimension": lambda: index({b"a": entry(DT_FLOAT, (-2,), size=8)}),
    "shape that overflows": lambda: index({b"a": entry(DT_FLOAT, (2**40, 2**40), size=8)}),
    "size is not that of the shape": lambda: index({b"a": entry(DT_FLOAT, (2,), size=4)}),
    "65 dimensions": lambda: index({b"a": entry(DT_FLOAT, (1,) * 65)}),
    "name that is not UTF-8": lambda: index({b"\xff": entry(DT_FLOAT, (2,))}),
    "SavedModel with a tag of 10 KB": lambda: saved_model(meta_graph("x" * 10_000)),
    "SavedModel with an endless name": lambda: saved_model(meta_graph(operators=["x" * 70_000])),
    "SavedModel with a shape that overflows": lambda: saved_model(_overflowing()),
    "SavedModel with a layer that is no JSON": lambda: saved_model(meta_graph(), _broken_layer()),
    "Keras metadata that nests too deep": lambda: field(1, field(4, b"_tf_keras_layer") + field(5, b"[" * 200_000)),
}
"""What is refused, by what is wrong with it."""

MARKED: Mapping[str, Callable[[], bytes]] = {
    "PyFunc": lambda: saved_model(meta_graph(operators=["PyFunc"])),
    "EagerPyFunc in a function": lambda: saved_model(_in_function("EagerPyFunc")),
    "PyFunc in a form that does not serve": lambda: saved_model(meta_graph(), meta_graph("train", ["PyFunc"])),
    "operator that writes files": lambda: saved_model(meta_graph(operators=["WriteFile"])),
    "operator that reads files": lambda: saved_model(meta_graph(operators=["ReadFile"])),
    "asset that leads out": lambda: saved_model(_with_asset("../../etc/passwd")),
    "Lambda layer": lambda: saved_model(with_keras_layer(meta_graph(), _LAMBDA)),
    "Lambda layer in Keras metadata": lambda: keras_metadata(("root.layer-0", "_tf_keras_layer", _LAMBDA)),
}
"""What is kept and marked as unsafe."""


def _overflowing() -> meta_graph_pb2.MetaGraphDef:
    graph = meta_graph()
    graph.signature_def["serving_default"].inputs["x"].tensor_shape.dim.add(size=2**62)
    return graph


def _broken_layer() -> meta_graph_pb2.MetaGraphDef:
    graph = with_keras_layer(meta_graph(), {})
    graph.object_graph_def.nodes[0].user_object.metadata = "{"
    return graph


def _in_function(operator: str) -> meta_graph_pb2.MetaGraphDef:
    graph = meta_graph()
    graph.graph_def.library.function.add().node_def.add(name="call", op=operator)
    return graph


def _with_asset(name: str) -> meta_graph_pb2.MetaGraphDef:
    graph = meta_graph()
    graph.asset_file_def.add(filename=name)
    return graph

"""ONNX models made with the onnx package itself."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


def linear_model(inputs: int, outputs: int, *, nodes: list[Any] | None = None, ir_version: int = 10) -> bytes:
    """A model that multiplies a batch by a matrix ``w``."""
    return linear(inputs, outputs, nodes=nodes, ir_version=ir_version).SerializeToString()


def linear(inputs: int, outputs: int, *, nodes: list[Any] | None = None, ir_version: int = 10) -> ModelProto:
    """The same as a message."""
    weights = numpy_helper.from_array(np.ones((inputs, outputs), np.float32), "w")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", inputs), ("y", outputs))
    ]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *(nodes or [])], "linear", ends[:1], ends[1:], [weights]
    )
    return helper.make_model(
        graph, producer_name="tests", ir_version=ir_version, opset_imports=[helper.make_opsetid("", 17)]
    )


def external_tensor(location: str, **entries: str) -> TensorProto:
    """A tensor of four float32 whose bytes are in another file."""
    tensor = TensorProto(name="external", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


PLACES = ("constant", "subgraph", "function", "sparse", "training")


def hidden(where: str, tensor: TensorProto) -> ModelProto:
    """A model with ``tensor`` in a place that a reader of initializers does not see."""
    model = linear(4, 3)
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    match where:
        case "constant":
            model.graph.node.append(node)
        case "subgraph":
            branch = helper.make_graph([node], "branch", [], [])
            model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=branch))
        case "function":
            opset = [helper.make_opsetid("", 17)]
            model.functions.append(helper.make_function("d", "f", [], ["c"], [node], opset))
        case "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        case "training":
            model.training_info.add().initialization.initializer.append(tensor)
    return model


def nested(depth: int) -> bytes:
    """A model of graphs within graphs. The protobuf parser itself writes 30; the rest is put around them by hand."""
    graph = helper.make_graph([], "innermost", [], [])
    for _ in range(30):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["z"], then_branch=graph)], "g", [], [])
    inner = graph.SerializeToString()
    for _ in range(depth):
        attribute = b"\x0a\x01a" + field(6, inner)
        inner = field(1, field(5, attribute))
    return b"\x08\x0a" + field(7, inner)


def field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _broken(**changes: Any) -> bytes:
    """A model whose weights have other fields."""
    model = linear(4, 3)
    tensor = model.graph.initializer[0]
    for name, value in changes.items():
        if name == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)
        else:
            setattr(tensor, name, value)
    return model.SerializeToString()


def _with_external(location: str, **entries: str) -> bytes:
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor(location, **entries))
    return model.SerializeToString()


def _hidden_outside(place: str) -> bytes:
    return hidden(place, external_tensor("../weights")).SerializeToString()


_OUTSIDE = {
    "../": "../weights",
    "../ further in": "a/../../weights",
    "an absolute path": "/etc/passwd",
    "a drive": "C:\\weights",
    "another host": "\\\\host\\share",
    "the memory of ONNX Runtime": "*/_ORT_MEM_ADDR_/*",
    "the folder itself": ".",
    "nowhere": "",
    "a URL": "https://example.org/weights",
    "%2e%2e": "%2e%2e/weights",
}

REFUSED: Mapping[str, Callable[[], bytes]] = {
    **{f"data from {what}": functools.partial(_with_external, where) for what, where in _OUTSIDE.items()},
    **{f"data from outside in a {place}": functools.partial(_hidden_outside, place) for place in PLACES},
    "data of another length than the shape": lambda: _with_external("weights", length="8"),
    "location with NUL": lambda: _with_external("a\0b"),
    "offset that is no number": lambda: _with_external("weights", offset="-8"),
    "offset of 2^70": lambda: _with_external("weights", offset=str(2**70)),
    "graphs 10,000 deep": lambda: nested(10_000),
    "negative shape": lambda: _broken(dims=[-4, -3]),
    "shape that overflows": lambda: _broken(dims=[2**40, 2**40]),
    "shape of other data": lambda: _broken(dims=[4, 4]),
    "a hundred dimensions": lambda: _broken(dims=[1] * 100),
    "unknown type": lambda: _broken(data_type=99),
    "name of 2,000 characters": lambda: _broken(name="a" * 2000),
    "name with NUL": lambda: _broken(name="a\0b"),
    "raw data that is a number": lambda: _with_field(b"\x48\x05"),
    "name that is not UTF-8": lambda: _with_field(field(8, b"\xff")),
    "text of 1 MB": lambda: _with_field(field(8, b"a" * 2**20)),
    "field that is longer than its tensor": lambda: _with_field(b"\x42\x7f"),
    "field number 0": lambda: _with_field(b"\x02\x00"),
    "group": lambda: _with_field(b"\x0b\x0c"),
    "number that does not end": lambda: _with_field(b"\x10" + b"\xff" * 11),
    "3,000,000 dimensions": lambda: _with_field(field(1, b"\x01" * 3_000_000)),
    "100,001 tensors": lambda: b"\x08\x0a" + field(7, field(5, b"\x10\x01") * 100_001),
    "10,001 kinds of operators": lambda: (
        b"\x08\x0a" + field(7, b"".join(field(1, field(4, str(number).encode())) for number in range(10_001)))
    ),
}
"""What is refused, by what is wrong with it."""


def _with_field(content: bytes) -> bytes:
    """A model with a tensor of one field, written by hand."""
    return b"\x08\x0a" + field(7, field(5, content))

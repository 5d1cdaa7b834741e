"""Small ONNX models with a known answer, built by hand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

Rows = str | int | None
Shape = Sequence[Rows] | None


def tensor(name: str, kind: int, shape: Shape) -> Any:
    """A named input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **more: Any) -> onnx.ModelProto:
    """A model of these nodes; ``more`` goes to make_graph (initializer) or make_model (functions, opset_imports)."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), more.pop("initializer", []))
    more.setdefault("opset_imports", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, ir_version=9, **more)


def identity(kind: int = TensorProto.FLOAT, shape: Shape = ("rows", 4)) -> bytes:
    """y = x."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [tensor("x", kind, shape)], [tensor("y", kind, shape)]).SerializeToString()


def doubling(columns: int = 4) -> bytes:
    """y = 2 x: the answer names the row that it belongs to."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    nodes = [helper.make_node("Mul", ["x", "two"], ["y"])]
    shape = ("rows", columns)
    return model(
        nodes,
        [tensor("x", TensorProto.FLOAT, shape)],
        [tensor("y", TensorProto.FLOAT, shape)],
        initializer=[two],
    ).SerializeToString()


def scaled(factor: float, columns: int = 4) -> bytes:
    """y = factor x."""
    constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    nodes = [helper.make_node("Mul", ["x", "factor"], ["y"])]
    shape = ("rows", columns)
    return model(
        nodes,
        [tensor("x", TensorProto.FLOAT, shape)],
        [tensor("y", TensorProto.FLOAT, shape)],
        initializer=[constant],
    ).SerializeToString()


def simple(rows: Rows = "rows") -> bytes:
    """Triton's own example: two INT32 inputs of 16, their sum and their difference."""
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    inputs = [tensor(name, TensorProto.INT32, (rows, 16)) for name in ("INPUT0", "INPUT1")]
    outputs = [tensor(name, TensorProto.INT32, (rows, 16)) for name in ("OUTPUT0", "OUTPUT1")]
    return model(nodes, inputs, outputs).SerializeToString()


def sequence_doubling() -> bytes:
    """y = 2 x, where rows and columns both vary."""
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    shape = ("rows", "columns")
    nodes = [helper.make_node("Mul", ["x", "two"], ["y"])]
    return model(
        nodes, [tensor("x", TensorProto.FLOAT, shape)], [tensor("y", TensorProto.FLOAT, shape)], initializer=[two]
    ).SerializeToString()


def table_lookup(size: int = 8) -> bytes:
    """y = 100 + x for an index below ``size``; any other index fails the whole computation."""
    table = helper.make_tensor("table", TensorProto.FLOAT, [size], np.arange(100, 100 + size, dtype=np.float32))
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"])]
    return model(
        nodes,
        [tensor("x", TensorProto.INT64, ("rows",))],
        [tensor("y", TensorProto.FLOAT, ("rows",))],
        initializer=[table],
    ).SerializeToString()


def masked_mean() -> bytes:
    """each = 2 tokens, mean = the mean of those tokens that the mask lets through."""
    two = helper.make_tensor("two", TensorProto.INT64, [], [2])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Mul", ["tokens", "two"], ["each"]),
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axes"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "axes"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["mean"]),
    ]
    shape = ("rows", "length")
    return model(
        nodes,
        [tensor("tokens", TensorProto.INT64, shape), tensor("mask", TensorProto.BOOL, shape)],
        [tensor("each", TensorProto.INT64, shape), tensor("mean", TensorProto.FLOAT, ("rows",))],
        initializer=[two, axes],
    ).SerializeToString()


def positions_of_nonzero() -> bytes:
    """The indices of what is not zero: as many rows as it likes, whatever came in."""
    nodes = [helper.make_node("NonZero", ["x"], ["found"]), helper.make_node("Transpose", ["found"], ["y"])]
    return model(
        nodes, [tensor("x", TensorProto.FLOAT, ("rows", 2))], [tensor("y", TensorProto.INT64, (None, 2))]
    ).SerializeToString()


def counting_loop() -> bytes:
    """y = x after x[0, 0] turns of a loop: how long it takes is for the input to say."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Identity", ["value_in"], ["value_out"]),
        ],
        "body",
        [
            tensor("turn", TensorProto.INT64, []),
            tensor("go_in", TensorProto.BOOL, []),
            tensor("value_in", TensorProto.INT64, None),
        ],
        [tensor("go_out", TensorProto.BOOL, []), tensor("value_out", TensorProto.INT64, None)],
    )
    initializer = [
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
        helper.make_tensor("zero", TensorProto.INT64, [], [0]),
    ]
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["turns"], keepdims=0),
        helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body),
    ]
    return model(
        nodes,
        [tensor("x", TensorProto.INT64, ("rows", 1))],
        [tensor("y", TensorProto.INT64, ("rows", 1))],
        initializer=initializer,
    ).SerializeToString()


def allocating() -> bytes:
    """y = zeros of the shape that the input asks for."""
    nodes = [helper.make_node("ConstantOfShape", ["x"], ["y"])]
    return model(
        nodes, [tensor("x", TensorProto.INT64, ("rank",))], [tensor("y", TensorProto.FLOAT, None)]
    ).SerializeToString()


def simple_string() -> bytes:
    """Triton's own example: two BYTES inputs of 16 whole numbers in words, their sum and their difference, likewise."""
    nodes = []
    for name in ("INPUT0", "INPUT1"):
        nodes.append(helper.make_node("Cast", [name], [f"{name}_number"], to=TensorProto.INT32))
    for operator, name in (("Add", "OUTPUT0"), ("Sub", "OUTPUT1")):
        nodes.append(helper.make_node(operator, ["INPUT0_number", "INPUT1_number"], [f"{name}_number"]))
        nodes.append(helper.make_node("Cast", [f"{name}_number"], [name], to=TensorProto.STRING))
    shape = ("rows", 16)
    inputs = [tensor(name, TensorProto.STRING, shape) for name in ("INPUT0", "INPUT1")]
    outputs = [tensor(name, TensorProto.STRING, shape) for name in ("OUTPUT0", "OUTPUT1")]
    return model(nodes, inputs, outputs).SerializeToString()


def simple_int8() -> bytes:
    """Triton's own example: as :func:`simple`, of INT8."""
    nodes = []
    for name in ("INPUT0", "INPUT1"):
        nodes.append(helper.make_node("Cast", [name], [f"{name}_wide"], to=TensorProto.INT32))
    for operator, name in (("Add", "OUTPUT0"), ("Sub", "OUTPUT1")):
        nodes.append(helper.make_node(operator, ["INPUT0_wide", "INPUT1_wide"], [f"{name}_wide"]))
        nodes.append(helper.make_node("Cast", [f"{name}_wide"], [name], to=TensorProto.INT8))
    shape = ("rows", 16)
    inputs = [tensor(name, TensorProto.INT8, shape) for name in ("INPUT0", "INPUT1")]
    outputs = [tensor(name, TensorProto.INT8, shape) for name in ("OUTPUT0", "OUTPUT1")]
    return model(nodes, inputs, outputs).SerializeToString()


def simple_identity() -> bytes:
    """Triton's own example: OUTPUT0 is INPUT0, rows of texts."""
    nodes = [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])]
    shape = ("rows", "columns")
    return model(
        nodes, [tensor("INPUT0", TensorProto.STRING, shape)], [tensor("OUTPUT0", TensorProto.STRING, shape)]
    ).SerializeToString()

"""ONNX models made with the onnx package itself."""

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

"""Every element type on its whole way: message, queue, worker process, ONNX Runtime, and back."""

import asyncio
from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2

from services.inference.tensors.codec import from_raw, to_raw
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, Tensor
from tests.integration.inference.conftest import Running
from tests.unit.inference.onnx_models import model, tensor

KINDS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def identity(names: Sequence[str]) -> bytes:
    """An output for each input, one of each type: rows of two."""
    nodes = [helper.make_node("Identity", [name], [f"out-{name}"]) for name in names]
    shape = ("rows", 2)
    inputs = [tensor(name, KINDS[name], shape) for name in names]
    outputs = [tensor(f"out-{name}", KINDS[name], shape) for name in names]
    return model(nodes, inputs, outputs).SerializeToString()


def values(datatype: str, seed: int) -> Array:
    """Any bits at all: NaNs of every kind among the numbers."""
    random = np.random.default_rng(seed)
    if datatype == "BYTES":
        return np.array([["zwölf".encode(), b"a\0b\0"], [b"", str(seed).encode()]], np.object_)
    if datatype == "BOOL":
        return random.integers(0, 2, (2, 2)).astype(np.bool_)
    dtype = NUMPY_TYPES[datatype]
    return np.frombuffer(random.bytes(4 * dtype.itemsize), dtype).reshape(2, 2)


async def test_every_element_type_comes_back_bit_by_bit_alone_and_in_a_batch(running: Running) -> None:
    others = [name for name in KINDS if name != "BYTES"]  # no model takes BYTES and gives BF16
    for model_name, names in (("numbers", others), ("texts", ["BYTES", "FP16"])):
        await running.serve(model_name, identity(names))
        await ask(running, model_name, names, 0)
        await asyncio.gather(*(ask(running, model_name, names, seed) for seed in range(1, 24)))
        statistics = await running.stub.ModelStatistics(service_pb2.ModelStatisticsRequest(name=model_name))
        assert statistics.model_stats[0].execution_count < 24, "some were batched"


async def ask(running: Running, model_name: str, names: Sequence[str], seed: int) -> None:
    """Ask for these values, and see that they come back."""
    request = service_pb2.ModelInferRequest(model_name=model_name)
    given = [Tensor(name, name, values(name, seed)) for name in names]
    for each in given:
        request.inputs.add(name=each.name, datatype=each.datatype, shape=[2, 2])
        request.raw_input_contents.append(to_raw(each))
    answer = await running.stub.ModelInfer(request)
    assert [(output.name, output.datatype) for output in answer.outputs] == [(f"out-{name}", name) for name in names]
    for each, raw in zip(given, answer.raw_output_contents, strict=True):
        assert raw == to_raw(each), each.name
        assert from_raw(each.name, each.datatype, [2, 2], raw).array.dtype == NUMPY_TYPES[each.datatype]

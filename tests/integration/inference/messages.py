"""ModelInferRequests by hand, for what no stock client would send."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

InferRequest = service_pb2.ModelInferRequest


def infer(name: str, *inputs: Any, raw: Sequence[bytes] = (), **fields: Any) -> Any:
    """A request with these inputs."""
    return InferRequest(model_name=name, inputs=inputs, raw_input_contents=raw, **fields)


def tensor(name: str, datatype: str, shape: Sequence[int], **contents: Sequence[object]) -> Any:
    """An input, with typed contents if there are any."""
    made = InferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(made.contents, field).extend(values)
    return made


def floats(*values: float) -> bytes:
    """Raw FP32."""
    return np.array(values, "<f4").tobytes()


def texts(*values: bytes) -> bytes:
    """Raw BYTES."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)

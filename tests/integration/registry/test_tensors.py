"""Single tensors come out of large files by range (R-16)."""

import numpy as np
import pytest
from safetensors.numpy import save

from headwater.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from headwater.registry.v1 import model_versions_pb2, models_pb2
from tests.integration.registry.client import DIGITS, Client

WEIGHT = np.arange(200_000, dtype=np.float32).reshape(200, 1000)
BIAS = np.arange(10, dtype=np.int64)
VERSION = f"{DIGITS}/versions/1"


async def _read(
    client: Client, tensor: str, path: str = "", offset: int = 0, length: int = 0
) -> tuple[model_versions_pb2.ReadTensorResponse, bytes]:
    request = model_versions_pb2.ReadTensorRequest(name=VERSION, tensor=tensor, path=path, offset=offset, length=length)
    messages = [message async for message in client.models.ReadTensor(request)]
    return messages[0], b"".join(message.data for message in messages)


async def test_a_tensor_is_what_was_stored(client: Client) -> None:
    await client.register(save({"bias": BIAS, "weight": WEIGHT}), "model.safetensors")
    first, content = await _read(client, "weight")
    assert (first.tensor.datatype, list(first.tensor.shape)) == ("FP32", [200, 1000])
    assert np.array_equal(np.frombuffer(content, np.float32).reshape(200, 1000), WEIGHT)


async def test_a_range_of_a_tensor_is_given_out(client: Client) -> None:
    await client.register(save({"bias": BIAS, "weight": WEIGHT}), "model.safetensors")
    _, row = await _read(client, "weight", offset=7 * 4000, length=4000)
    assert np.array_equal(np.frombuffer(row, np.float32), WEIGHT[7])
    assert (await _read(client, "bias", offset=72))[1] == BIAS[9:].tobytes()
    assert (await _read(client, "bias", offset=72, length=1000))[1] == BIAS[9:].tobytes()
    assert (await _read(client, "bias", offset=80))[1] == b""
    with pytest.raises(OutOfRange):
        await _read(client, "bias", offset=81)


async def test_what_cannot_be_read_is_said(client: Client) -> None:
    first = await client.upload(save({"a": BIAS}))
    other = await client.upload(save({"a": BIAS + 1, "b": BIAS}))
    files = [
        models_pb2.ModelFileReference(path=path, artifact=artifact.name)
        for path, artifact in (("one.safetensors", first), ("two.safetensors", other))
    ]
    await client.models.CreateModelVersion(models_pb2.CreateModelVersionRequest(parent=DIGITS, files=files))
    with pytest.raises(InvalidArgument) as ambiguous:
        await _read(client, "a")
    assert ambiguous.value.reason == "AMBIGUOUS_TENSOR"
    assert (await _read(client, "a", path="two.safetensors"))[1] == (BIAS + 1).tobytes()
    for tensor, path in (("c", ""), ("b", "one.safetensors"), ("a", "../one.safetensors")):
        with pytest.raises(NotFound):
            await _read(client, tensor, path=path)
    with pytest.raises(InvalidArgument):
        await _read(client, "a", offset=-1)


async def test_a_tensor_that_lies_elsewhere_is_told(client: Client) -> None:
    from tests.data.models.onnx_files import linear_model

    model = linear_model(4, 3)
    await client.register(model, "model.onnx")
    found = await client.models.GetModelVersion(models_pb2.GetModelVersionRequest(name=VERSION))
    for tensor in found.files[0].tensors:
        if tensor.HasField("begin_offset"):
            _, content = await _read(client, tensor.name)
            assert model[tensor.begin_offset : tensor.end_offset] == content
        else:
            with pytest.raises(FailedPrecondition):
                await _read(client, tensor.name)

"""ModelInfer of the digits model over gRPC against the same ONNX session called in a loop."""

import importlib.util
import json
import queue
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import tritonclient.grpc as triton

from deploy.demo.job import EXAMPLE
from headwater import deployments, models
from headwater.names import DeploymentName, ModelName
from headwater.training.export import SERVABLE, export
from tests.bench.paired import Result, measure
from tests.bench.running import Running

CALLS, IN_FLIGHT = 500, 64


def run(running: Running) -> Iterator[Result]:
    """One image a call: one call after another, and many in flight."""
    with tempfile.TemporaryDirectory() as directory:
        files = _untrained_model(Path(directory))
        version = models.register(running.connection, ModelName("default", "bench-digits"), files)
        name = DeploymentName("default", "bench-digits")
        number = version.name.rpartition("/")[2]
        deployments.create(running.connection, name, ModelName("default", "bench-digits"), version=number)
        deployments.wait_until_ready(running.connection, name)
        session = onnxruntime.InferenceSession(files[SERVABLE], _one_thread())
    image = np.random.default_rng(0).random((1, 1, 16, 16), dtype=np.float32)
    headers = {"authorization": f"Bearer {running.connection.token}"}
    tensor = triton.InferInput("image", list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)

    def loop() -> float:
        for _ in range(CALLS):
            session.run(None, {"image": image})
        return float(CALLS)

    with triton.InferenceServerClient(running.connection.endpoints.inference) as client:
        served = client.infer(name.deployment, [tensor], headers=headers).as_numpy("logits")
        assert np.allclose(served, session.run(None, {"image": image})[0], atol=1e-5), "the answers must be equal"

        def sequential() -> float:
            for _ in range(CALLS):
                client.infer(name.deployment, [tensor], headers=headers)
            return float(CALLS)

        def together() -> float:
            return _in_flight(client, name.deployment, tensor, headers)

        peer = "the ONNX session in a loop, no network"
        servers = running.processes("inference", "postgres")
        for title, work in (("one after another", sequential), (f"{IN_FLIGHT} in flight", together)):
            yield measure(f"ModelInfer, {title}", work, loop, unit="calls/s", peer=peer, servers=servers)


def _in_flight(
    client: triton.InferenceServerClient, name: str, tensor: triton.InferInput, headers: dict[str, str]
) -> float:
    done: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def callback(result: object, error: Exception | None) -> None:
        del result  # tritonclient passes both by name
        done.put(error)

    for started in range(CALLS):
        if started >= IN_FLIGHT:
            _checked(done.get(timeout=60))
        client.async_infer(name, [tensor], callback, headers=headers)
    for _ in range(min(CALLS, IN_FLIGHT)):
        _checked(done.get(timeout=60))
    return float(CALLS)


def _untrained_model(directory: Path) -> dict[str, Path]:
    """The demo's network with its first weights: as fast as a trained one."""
    found = importlib.util.spec_from_file_location("train", EXAMPLE / "train.py")
    assert found is not None
    assert found.loader is not None
    train = importlib.util.module_from_spec(found)
    found.loader.exec_module(train)
    torch.manual_seed(0)
    return export(
        train.SmallCnn(16, 16, 10),
        directory,
        example={"image": torch.zeros(1, 1, 16, 16)},
        outputs=["logits"],
        properties={"classes": json.dumps([str(digit) for digit in range(10)])},
    )


def _one_thread() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _checked(error: Exception | None) -> None:
    if error is not None:
        raise error

"""A model of ours, deployed, and the request that is asked of it."""

import tempfile
from pathlib import Path

import numpy as np

from headwater import deployments, models
from headwater.names import DEFAULT_PROJECT, DeploymentName, ModelName
from tests.bench.running import Running
from tests.bench.serving.h2load import Target, grpc_target
from tests.bench.serving.peers import INFER, message


def serve(
    running: Running,
    name: str,
    onnx: bytes,
    array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]",
    *,
    max_batch_size: int = 0,
) -> Target:
    """Register the file, serve it as ``name`` and wait until it answers; its one input is called x."""
    model, deployed = ModelName(DEFAULT_PROJECT, name), DeploymentName(DEFAULT_PROJECT, name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(onnx)
        version = models.register(running.connection, model, {"model.onnx": file})
    number = version.name.rpartition("/")[2]
    deployments.create(running.connection, deployed, model, version=number, max_batch_size=max_batch_size)
    deployments.wait_until_ready(running.connection, deployed)
    return grpc_target(running.connection.endpoints.inference, INFER, message(name, array), running.connection.token)

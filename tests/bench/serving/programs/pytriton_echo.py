"""PyTriton with an echo: `python pytriton_echo.py GRPC_PORT HTTP_PORT METRICS_PORT SHAPE`, the shape as 3x224x224."""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


@batch  # type: ignore[untyped-decorator]
def echo(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"y": x}


if __name__ == "__main__":
    grpc_port, http_port, metrics_port = (int(port) for port in sys.argv[1:4])
    shape = tuple(int(size) for size in sys.argv[4].split("x"))
    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        http_address="127.0.0.1",
        http_port=http_port,
        metrics_port=metrics_port,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="echo",
            infer_func=echo,
            inputs=[Tensor(name="x", dtype=np.float32, shape=shape)],
            outputs=[Tensor(name="y", dtype=np.float32, shape=shape)],
            config=ModelConfig(max_batch_size=64),
        )
        triton.serve()

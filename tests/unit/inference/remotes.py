"""A server of the Open Inference Protocol that a test holds in its hand: it can be made to misbehave, which a real one
cannot. It gives back what it is sent."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from services.inference.engines.triton.description import DIGEST_PARAMETER
from services.inference.tensors.model import TensorSpec

DIGEST = f"sha256:{'ab' * 32}"


class Remote(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # its package has no types
    """Model ``echo`` in version 3: an output for each input, named with ``out-`` before."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self.specs = list(specs)
        self.digest = DIGEST
        self.ready = True
        self.config = model_config_pb2.ModelConfig(name="echo", max_batch_size=8)
        self.asked = False
        """Whether anything came."""
        self.rows: list[int] = []
        self.change: Callable[[Any], None] = lambda answer: None
        """What is done to an answer before it is sent."""
        self.fail: tuple[grpc.StatusCode, str] | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.gone = threading.Event()
        """Set when a caller went away while the gate was closed."""

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._may_fail(context)
        return service_pb2.ModelReadyResponse(ready=self.ready)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        config = model_config_pb2.ModelConfig()
        config.CopyFrom(self.config)
        if self.digest:
            config.parameters[DIGEST_PARAMETER].string_value = self.digest
        return service_pb2.ModelConfigResponse(config=config)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = service_pb2.ModelMetadataResponse(name="echo", versions=["3"], platform="some_plan")
        for spec in self.specs:
            answer.inputs.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
            answer.outputs.add(name=f"out-{spec.name}", datatype=spec.datatype, shape=spec.shape)
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.add_callback(self._left)
        self.gate.wait(10)
        self._may_fail(context)
        self.rows.append(request.inputs[0].shape[0])
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            answer.outputs.add(name=f"out-{tensor.name}", datatype=tensor.datatype, shape=tensor.shape)
            answer.raw_output_contents.append(raw)
        self.change(answer)
        return answer

    def _left(self) -> None:
        if not self.gate.is_set():
            self.gone.set()

    def _may_fail(self, context: Any) -> None:
        self.asked = True
        if self.fail is not None:
            context.abort(*self.fail)


@contextlib.contextmanager
def listening(remote: Remote, *, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
    """The port that ``remote`` answers on."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(remote, server)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    yield bound
    remote.gate.set()
    server.stop(0).wait(5)

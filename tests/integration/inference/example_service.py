"""A service with the models of Triton's examples, in a thread with a loop of its own, as stock clients that block need.

Run as a program it serves them until it is killed, so that tritonclient's own examples can be run against it.
"""

import asyncio
import contextlib
import dataclasses
import functools
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tritonclient.grpc.aio as triton
from onnx import TensorProto

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.clock import SystemClock
from headwater.names import DeploymentName, ModelName
from services.inference.__main__ import wire
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.options import Options
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from services.inference.settings import Settings
from tests.integration.inference.outside import outside_in_memory
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

MODELS: Mapping[str, Callable[[], bytes]] = {
    "simple": onnx_models.simple,
    "simple_string": onnx_models.simple_string,
    "simple_int8": onnx_models.simple_int8,
    "simple_identity": onnx_models.simple_identity,
    "double": onnx_models.doubling,
    "half": lambda: onnx_models.identity(TensorProto.FLOAT16, ("rows", 2)),
    "loop": onnx_models.counting_loop,
    "brain": lambda: onnx_models.identity(TensorProto.BFLOAT16, ("rows", 2)),
}
"""As many as there are in Triton's own repository of examples."""

SERVED = Selector(SelectorKind.ALIAS, "served")


@dataclasses.dataclass(frozen=True, slots=True)
class Examples:
    """The running service: where it answers, and how to get a token."""

    service: Service
    loop: asyncio.AbstractEventLoop
    authenticator: Authenticator

    @property
    def grpc(self) -> str:
        return self.service.address

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.service.http_port}"

    def headers(self, *roles: Role, subject: str = "tester") -> dict[str, str]:
        """What a caller in these roles sends; an administrator if none is given."""
        token = self.authenticator.mint(subject, roles or (Role.ADMIN,), 3600)
        return {"authorization": f"Bearer {token}"} if token else {}


def on_free_ports(**more: Any) -> Settings:
    """Settings for :func:`running`; models are computed in this process, so that eight of them start at once."""
    ports = {"port": 0, "admin_port": 0, "http_port": 0, "flight_port": 0}
    values: dict[str, Any] = {**ports, "engine_isolation": "none", "resolve_interval_s": 0.05}
    return Settings(**{**values, **more})


@contextlib.contextmanager
def running(authenticator: Authenticator, settings: Settings) -> Iterator[Examples]:
    """The service, answering for every model; stopped at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="service", daemon=True)
    thread.start()
    service = asyncio.run_coroutine_threadsafe(_start(authenticator, settings), loop).result(30)
    try:
        yield Examples(service, loop, authenticator)
    finally:
        asyncio.run_coroutine_threadsafe(service.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(authenticator: Authenticator, settings: Settings) -> Service:
    models, deployments = MemoryModels(), MemoryDeployments()
    service = Service("inference", settings, auth=authenticator)
    wire(service, settings, outside_in_memory(models, deployments))
    uses = Deployments(deployments, models, SystemClock(), lambda: None)
    for name, content in MODELS.items():
        model = ModelName("default", name)
        version = models.add(model, {"model.onnx": NewFile("onnx", content())})
        models.point(model, SERVED, version)
        await uses.create(DeploymentName("default", name), model, SERVED, Options(), Origin("tester"))
    await service.start()
    headers = {"authorization": f"Bearer {authenticator.mint('tester', [Role.READER], 60)}"}
    async with triton.InferenceServerClient(service.address) as client:
        for name in MODELS:
            await eventually(functools.partial(client.is_model_ready, name, headers=headers))
    return service


def _main(*arguments: Any) -> None:
    port, http_port = map(int, arguments)
    settings = on_free_ports(port=port, http_port=http_port, shared_memory_prefixes="/in,/out", server_name="triton")
    with running(Authenticator.disabled(), settings) as examples:
        print(examples.grpc, examples.http, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    _main(*sys.argv[1:])

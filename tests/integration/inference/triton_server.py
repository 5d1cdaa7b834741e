"""A real Triton server with Python models, from the environment of the benchmarks' peers."""

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from services.inference.engines.triton.description import DIGEST_PARAMETER

_ENVIRONMENT = Path(__file__).resolve().parents[3] / ".peers" / "pytriton"
_PACKAGES = next(iter(sorted(_ENVIRONMENT.glob("lib/python3.*/site-packages"))), _ENVIRONMENT)
_SERVER = _PACKAGES / "pytriton" / "tritonserver"
INSTALLED = (_SERVER / "bin" / "tritonserver").exists()
_START_S = 60

ECHO = """
import triton_python_backend_utils as triton

class TritonPythonModel:
    def execute(self, requests):
        return [triton.InferenceResponse([self.back(each) for each in request.inputs()]) for request in requests]

    def back(self, tensor):
        name = "OUT" + tensor.name()[2:]
        if "BF16" in name:  # which numpy does not know
            return triton.Tensor.from_dlpack(name, tensor.to_dlpack())
        return triton.Tensor(name, tensor.as_numpy())
"""
SUM = """
import time
import triton_python_backend_utils as triton

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        first, second = (triton.get_input_tensor_by_name(request, f"INPUT{number}").as_numpy() for number in (0, 1))
        if (first == -1).any():
            return triton.InferenceResponse([], triton.TritonError("cannot read /opt/secret"))
        if (first == -2).any():
            time.sleep(2)
        outputs = [triton.Tensor("OUTPUT0", first + second), triton.Tensor("OUTPUT1", first - second)]
        return triton.InferenceResponse(outputs)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class PythonModel:
    """A model of Triton's Python backend: names and Triton's types of what goes in and comes out, each of one size."""

    name: str
    inputs: Sequence[tuple[str, str]]
    outputs: Sequence[tuple[str, str]]
    size: int
    code: str
    digest: str
    more: str = ""

    def write(self, repository: Path) -> None:
        """Put it into a model repository, as version 1."""
        tensors = [
            f'{kind} {{ name: "{name}" data_type: {datatype} dims: [{self.size}] }}'
            for kind, listed in (("input", self.inputs), ("output", self.outputs))
            for name, datatype in listed
        ]
        declared = f'parameters {{ key: "{DIGEST_PARAMETER}" value {{ string_value: "{self.digest}" }} }}'
        folder = repository / self.name
        (folder / "1").mkdir(parents=True)
        lines = [
            'backend: "python"',
            "max_batch_size: 8",
            *tensors,
            declared,
            self.more,
            "instance_group { kind: KIND_CPU }",
        ]
        (folder / "config.pbtxt").write_text("\n".join(lines))
        (folder / "1" / "model.py").write_text(self.code)


@contextlib.contextmanager
def serving(models: Sequence[PythonModel], folder: Path) -> Iterator[str]:
    """The address of a server of these models."""
    repository, backends = folder / "models", folder / "backends"
    for model in models:
        model.write(repository)
    python = _PACKAGES.parent.name.removeprefix("python")
    shutil.copytree(_SERVER / "backends" / "python", backends / "python")
    for stub in (_SERVER / "python_backend_stubs" / python).iterdir():
        shutil.copy(stub, backends / "python")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(_PACKAGES / "nvidia_pytriton.libs"),
        "PYTHONPATH": str(_PACKAGES),
        "VIRTUAL_ENV": str(_ENVIRONMENT),
        "PATH": f"{_ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    command = [
        str(_SERVER / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        *("--allow-http=false", "--allow-metrics=false", "--grpc-address=127.0.0.1", f"--grpc-port={port}"),
    ]
    with (folder / "triton.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        _wait(f"127.0.0.1:{port}", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(grpc.RpcError):
                if stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=1).ready:
                    return
            time.sleep(0.1)
    raise AssertionError("Triton does not start; see triton.log.")

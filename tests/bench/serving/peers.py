"""The other servers, each started by itself on one core, and gone afterwards."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import psutil
from tritonclient.grpc import service_pb2, service_pb2_grpc

from deploy.ports import HOST, free
from tests.bench.serving.h2load import Target, grpc_target

_PROGRAMS = Path(__file__).parent / "programs"
_ENVIRONMENTS = Path(__file__).parents[3] / ".peers"
_START_S = 90.0
INFER = "/inference.GRPCInferenceService/ModelInfer"

Shape: TypeAlias = tuple[int, ...]
Peer: TypeAlias = "Callable[[Shape, int], AbstractContextManager[tuple[Target, psutil.Process]]]"
"""Starts a server of an echo of one float32 tensor of this shape on this core."""


class PeerMissing(RuntimeError):
    """The environment of this peer could not be made; .peers/<name>/install.log says why."""


def message(name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    """A request of the Open Inference Protocol for the model ``name`` with the input ``x``, its contents raw."""
    request = service_pb2.ModelInferRequest(model_name=name)
    request.inputs.add(name="x", datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    serialized: bytes = request.SerializeToString()
    return serialized


def example(shape: Shape) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """The tensor that is sent, of one row."""
    return np.random.default_rng(0).random((1, *shape), dtype=np.float32)


def check_grpc(target: Target, expected: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
    """Ask once, and go on when the answer is what was sent."""
    metadata = [(name, value) for name, value in target.headers.items() if name == "authorization"]
    with grpc.insecure_channel(target.url.removeprefix("http://").removesuffix(INFER)) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = stub.ModelInfer(service_pb2.ModelInferRequest.FromString(target.body[5:]), metadata=metadata)
    contents = answer.raw_output_contents or [np.array(answer.outputs[0].contents.fp32_contents, np.float32).tobytes()]
    assert contents[0] == expected.tobytes(), f"{target.url} must answer with what was sent"


@contextlib.contextmanager
def bare_servicer(shape: Shape, core: int) -> Iterator[tuple[Target, psutil.Process]]:
    """grpc.aio with nothing around it."""
    port = free(1)[0]
    with _running([sys.executable, str(_PROGRAMS / "aio_echo.py"), str(port)], core) as process:
        yield _over_grpc(shape, port), process


@contextlib.contextmanager
def mlserver(shape: Shape, core: int) -> Iterator[tuple[Target, psutil.Process]]:
    """MLServer with a runtime of its own and, as by default, one worker process."""
    http_port, grpc_port, metrics_port = free(3)
    with tempfile.TemporaryDirectory(prefix="headwater-mlserver-") as folder:
        ports = {"http_port": http_port, "grpc_port": grpc_port, "metrics_port": metrics_port}
        settings = {"host": HOST, **ports, "metrics_dir": folder, "debug": False}
        Path(folder, "settings.json").write_text(json.dumps(settings))
        Path(folder, "model-settings.json").write_text(
            json.dumps({"name": "echo", "implementation": "mlserver_echo.Echo"})
        )
        command = [_program("mlserver", "mlserver"), "start", folder]
        with _running(command, core, {"PYTHONPATH": str(_PROGRAMS)}) as process:
            yield _over_grpc(shape, grpc_port), process


@contextlib.contextmanager
def pytriton(shape: Shape, core: int) -> Iterator[tuple[Target, psutil.Process]]:
    """A Triton server whose model is a Python function, batched as PyTriton does by default."""
    ports = free(3)
    size = "x".join(map(str, shape))
    command = [_program("pytriton", "python"), str(_PROGRAMS / "pytriton_echo.py"), *map(str, ports), size]
    with _running(command, core) as process:
        yield _over_grpc(shape, ports[0]), process


@contextlib.contextmanager
def ray_serve(shape: Shape, _core: int) -> Iterator[tuple[Target, psutil.Process]]:
    """One deployment with Ray Serve's defaults, on all cores: its many processes hardly answer on one."""
    headers = {"content-type": "application/octet-stream"}
    with _over_http("ray", "ray_echo.py", "/echo", shape, None, lambda sent: (sent, headers)) as started:
        yield started


@contextlib.contextmanager
def litserve(shape: Shape, core: int) -> Iterator[tuple[Target, psutil.Process]]:
    """One model with LitServe's defaults. Bytes come as the file of a form: it takes no others but JSON."""
    with _over_http("litserve", "litserve_echo.py", "/predict", shape, core, _form) as started:
        yield started


def _over_grpc(shape: Shape, port: int) -> Target:
    array = example(shape)
    target = grpc_target(f"{HOST}:{port}", INFER, message("echo", array))
    _wait(lambda: check_grpc(target, array), grpc.RpcError)
    return target


@contextlib.contextmanager
def _over_http(
    environment: str,
    program: str,
    path: str,
    shape: Shape,
    core: int | None,
    wrap: Callable[[bytes], tuple[bytes, Mapping[str, str]]],
) -> Iterator[tuple[Target, psutil.Process]]:
    port = free(1)[0]
    sent = example(shape).tobytes()
    body, headers = wrap(sent)
    target = Target(f"http://{HOST}:{port}{path}", body, headers, http1=True)

    def check() -> None:
        request = urllib.request.Request(target.url, body, dict(headers))
        with urllib.request.urlopen(request) as answer:
            assert answer.read() == sent, f"{target.url} must answer with what was sent"

    with _running([_program(environment, "python"), str(_PROGRAMS / program), str(port)], core) as process:
        _wait(check, urllib.error.URLError, ConnectionError)
        yield target, process


def _form(sent: bytes) -> tuple[bytes, Mapping[str, str]]:
    boundary = "0123456789abcdef0123456789abcdef"
    opening = f'--{boundary}\r\nContent-Disposition: form-data; name="x"; filename="x"\r\n\r\n'
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return b"".join([opening.encode(), sent, f"\r\n--{boundary}--\r\n".encode()]), headers


def _program(environment: str, name: str) -> str:
    program = _ENVIRONMENTS / environment / "bin" / name
    if not program.exists():
        raise PeerMissing(f"{environment} is not installed: .peers/{environment}/install.log says why.")
    return str(program)


@contextlib.contextmanager
def _running(
    command: Sequence[str], core: int | None, more: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    """The program on one core or, for None, on all, in a session of its own, of which nothing is left afterwards."""
    with tempfile.TemporaryFile() as log:
        started = subprocess.Popen(
            [*([] if core is None else ["taskset", "-c", str(core)]), *command],
            stdout=log,
            stderr=log,
            env=os.environ | (more or {}),
            start_new_session=True,
        )
        process = psutil.Process(started.pid)
        try:
            yield process
        except TimeoutError as error:
            log.seek(0)
            raise RuntimeError(
                f"{command[1]} does not answer:\n{log.read()[-3000:].decode(errors='replace')}"
            ) from error
        finally:
            _stop(process)
            started.wait()


def _stop(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=10)
        for each in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def _wait(check: Callable[[], None], *errors: type[Exception]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return check()
        except errors as error:
            if time.monotonic() > deadline:
                raise TimeoutError from error
            time.sleep(0.5)

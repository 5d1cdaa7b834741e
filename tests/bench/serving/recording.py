"""What records, logs and metrics cost: the same service with all of them, and with none."""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import psutil

from deploy.ports import HOST, free
from headwater import deployment_options
from headwater.names import DEFAULT_PROJECT, DeploymentName
from tests.bench.paired import Result, measure
from tests.bench.running import Running
from tests.bench.serving import peers
from tests.bench.serving.echo import IN_FLIGHT, LOAD_CORE, SERVER_CORE, pin
from tests.bench.serving.h2load import Target, load
from tests.bench.serving.serve import serve
from tests.unit.inference.onnx_models import identity

_Started: TypeAlias = tuple[Target, psutil.Process]

_NAME = "bench-recording"
_SHAPE = (16,)
_SECONDS = 3
_ROUNDS = 6
_CALLS_PER_S = 800
_START_S = 30.0


def run(running: Running) -> Iterator[Result]:
    """The rate under load, and the slowest of a hundred calls where they come at their times; then with events, too."""
    array = peers.example(_SHAPE)
    target = serve(running, _NAME, identity(shape=("rows", *_SHAPE)), array)
    # One body in ten is kept, and nobody may see the third column.
    recording = {"sampleRate": 0.1, "inputs": [{"name": "x", "redactedColumns": ["2"]}]}
    deployment_options.configure(running.connection, DeploymentName(DEFAULT_PROJECT, _NAME), {"recording": recording})
    with tempfile.TemporaryDirectory(prefix="headwater-recording-") as folder:
        logged = {"HEADWATER_REQUEST_LOG": f"{folder}/requests.log"}
        exported = {**logged, "HEADWATER_EVENTS_URL": f"file://{folder}/events.jsonl"}
        unrecorded = "tests.bench.serving.programs.unrecorded"
        with _beside(running, unrecorded, {}, target) as off:
            pin([off[1]], SERVER_CORE)
            pin(running.processes("postgres"), LOAD_CORE)  # another machine, in production
            with _beside(running, "services.inference", logged, target) as on:
                pin([on[1]], SERVER_CORE)
                yield _rate(running, "records, logs and metrics", on, off)
                yield _slowest(on[0], off[0])
            with _beside(running, "services.inference", exported, target) as on:
                pin([on[1]], SERVER_CORE)
                yield _rate(running, "records, logs, metrics and CloudEvents", on, off)


def _rate(running: Running, what: str, on: _Started, off: _Started) -> Result:
    return measure(
        f"{what}, {IN_FLIGHT} in flight",
        lambda: float(load(on[0], seconds=_SECONDS, in_flight=IN_FLIGHT, core=LOAD_CORE).calls),
        lambda: float(load(off[0], seconds=_SECONDS, in_flight=IN_FLIGHT, core=LOAD_CORE).calls),
        unit="calls/s",
        peer="the same without them",
        servers=[on[1], *running.processes("postgres")],
        peer_servers=[off[1]],
        must_be="≥ 0.9",
        rounds=_ROUNDS,
    )


def _slowest(on: Target, off: Target) -> Result:
    def p99_ms(target: Target) -> float:
        return load(target, seconds=_SECONDS, in_flight=8, core=LOAD_CORE, calls_per_s=_CALLS_PER_S).p99_s * 1000

    pairs = [(p99_ms(on), p99_ms(off)) for _ in range(_ROUNDS + 1)][1:]
    more = sorted(own - other for own, other in pairs)
    return Result(
        name=f"records, logs and metrics, p99 at {_CALLS_PER_S} calls/s: ms more",
        ours=statistics.median(own for own, _ in pairs),
        theirs=statistics.median(other for _, other in pairs),
        unit="ms",
        ratio=statistics.median(more),
        low=more[0],
        high=more[-1],
        cpu_ms=0.0,
        peer="the same without them",
        must_be="≤ 1",
    )


@contextlib.contextmanager
def _beside(running: Running, module: str, more: Mapping[str, str], like: Target) -> Iterator[_Started]:
    """Another process of the inference service with the same deployments, asked as ``like`` is."""
    grpc_port, http_port, flight_port, admin_port = free(4)
    (stacks,) = running.processes("inference")
    ports = {"PORT": grpc_port, "HTTP_PORT": http_port, "FLIGHT_PORT": flight_port, "ADMIN_PORT": admin_port}
    environment = {**stacks.environ(), **{f"HEADWATER_{name}": str(port) for name, port in ports.items()}, **more}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
        try:
            target = Target(f"http://{HOST}:{grpc_port}{peers.INFER}", like.body, like.headers)
            _wait(target, process)
            yield target, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def _wait(target: Target, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return peers.check_grpc(target, peers.example(_SHAPE))
        except Exception:
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.2)

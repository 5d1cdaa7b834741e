"""Registering a version of a model against `mlflow server` on the same PostgreSQL: the median of calls one by one.

We read the file's format, tensors and signature on the way and keep them; mlflow keeps the address that it is given.
"""

import dataclasses
import http.client
import json
import statistics
import struct
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from headwater import artifacts
from headwater.names import ModelName
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from tests.bench.mlflow_peer import Mlflow, mlflow_server
from tests.bench.paired import ROUNDS, Result, cpu_seconds
from tests.bench.running import Running

CALLS = 40
_TENSORS = 20


def run(running: Running) -> Iterator[Result]:
    """Rounds of A B B A, each side's calls one after another; the medians of their times are compared."""
    registrations = Registrations.of(running, "bench-registering")
    servers = running.processes("registry", "postgres")
    with mlflow_server(running.database_url) as peer:
        theirs = _MlflowRegistrations(peer)
        for register in (registrations.register, theirs.register):
            _median_ms(register)  # a warm-up
        rounds, cpu_s = [], 0.0
        for _ in range(ROUNDS):
            before = cpu_seconds(servers)
            first = _median_ms(registrations.register)
            cpu_s += cpu_seconds(servers) - before
            others = [_median_ms(theirs.register), _median_ms(theirs.register)]
            before = cpu_seconds(servers)
            second = _median_ms(registrations.register)
            cpu_s += cpu_seconds(servers) - before
            rounds.append(((first + second) / 2, statistics.mean(others)))
    ratios = sorted(other / own for own, other in rounds)
    yield Result(
        name="register a version, median of calls one by one",
        ours=1000 / statistics.median(own for own, _ in rounds),
        theirs=1000 / statistics.median(other for _, other in rounds),
        unit="/s",
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        cpu_ms=cpu_s * 1000 / (2 * ROUNDS * CALLS),
        peer="mlflow server, same PostgreSQL",
        must_be="≥ 3",
    )


def _median_ms(register: Callable[[], None]) -> float:
    taken = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        register()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


@dataclasses.dataclass(frozen=True, slots=True)
class Registrations:
    """Registers one file again and again as the next version of one model."""

    model: ModelName
    stub: models_pb2_grpc.ModelServiceStub
    request: models_pb2.CreateModelVersionRequest

    @classmethod
    def of(cls, running: Running, name: str) -> Self:
        """Of a model of this name; its file is stored before."""
        model = ModelName("default", name)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "model.safetensors"
            path.write_bytes(_safetensors())
            stored = artifacts.upload(running.connection, path)
        file = models_pb2.ModelFileReference(path="model.safetensors", artifact=stored.name)
        request = models_pb2.CreateModelVersionRequest(parent=str(model), files=[file])
        return cls(model, models_pb2_grpc.ModelServiceStub(running.connection.channel("registry")), request)

    def register(self) -> None:
        """One more version."""
        self.stub.CreateModelVersion(self.request)


class _MlflowRegistrations:
    """The same over mlflow's REST API, on a connection that stays open."""

    def __init__(self, peer: Mlflow) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(peer.url).netloc, timeout=60)
        self._post("registered-models/create", {"name": "bench"})

    def register(self) -> None:
        """One more version."""
        self._post("model-versions/create", {"name": "bench", "source": "s3://bench/model"})

    def _post(self, method: str, body: dict[str, str]) -> None:
        headers = {"content-type": "application/json"}
        self._connection.request("POST", f"/api/2.0/mlflow/{method}", json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"mlflow answered {answer.status}: {text[:500]!r}")


def _safetensors() -> bytes:
    names: Sequence[str] = [f"layer.{number}.weight" for number in range(_TENSORS)]
    header = {
        name: {"dtype": "F32", "shape": [4, 4], "data_offsets": [64 * place, 64 * (place + 1)]}
        for place, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64 * _TENSORS)

"""Following a stage and an alias at 500 calls a second, whatever the answers take: the 99th of 100 calls, in ms.

Beside it a bare gRPC server in Python that answers each call with a text of the same length: what is left of the limit
for everything that a service does.
"""

import statistics
from collections.abc import Iterator
from typing import Any

import grpc

from headwater import model_pointers, models
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, ModelVersionName
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc
from tests.bench.echo_peer import PATH, echo_server
from tests.bench.latency import at_rank, paced, within
from tests.bench.paired import Result, cpu_seconds
from tests.bench.registering import Registrations
from tests.bench.running import Running

CALLS_PER_S, SECONDS, ROUNDS = 500, 5, 5
VERSIONS = (1, 500)
"""The answer takes as long whatever the model has gone through."""
LIMIT_MS = 2.0
_PRODUCTION = artifact_pb2.ModelMetadata.STAGE_PRODUCTION
_BASIC = model_versions_pb2.MODEL_VERSION_VIEW_BASIC


def run(running: Running) -> Iterator[Result]:
    """By stage and by alias, of a model with one version and of one with many."""
    with echo_server() as (echo, _), grpc.insecure_channel(running.connection.endpoints.registry) as channel:
        for count in VERSIONS:
            model = _model(running, count)
            by_stage = models_pb2.ResolveModelVersionRequest(name=str(model), stage=_PRODUCTION, view=_BASIC)
            by_alias = models_pb2.ResolveModelVersionRequest(name=str(model), alias="champion", view=_BASIC)
            for what, request in (("a stage", by_stage), ("an alias", by_alias)):
                name = f"resolve {what}, model of {count:,} versions, at {CALLS_PER_S} calls/s"
                yield from _measured(running, channel, echo, name, request)


def _measured(
    running: Running,
    channel: grpc.Channel,
    echo: grpc.Channel,
    name: str,
    request: models_pb2.ResolveModelVersionRequest,
) -> Iterator[Result]:
    servers = running.processes("registry", "postgres")
    metadata = (("authorization", f"Bearer {running.connection.token}"),)
    stub = models_pb2_grpc.ModelServiceStub(channel)
    answer = stub.ResolveModelVersion(request, metadata=metadata).SerializeToString()

    def resolve() -> Any:
        return stub.ResolveModelVersion.future(request, metadata=metadata)

    echo_call: Any = echo.unary_unary(PATH)

    def echoed() -> Any:
        return echo_call.future(answer)

    for call in (resolve, echoed):
        paced(call, CALLS_PER_S, 1)  # a warm-up
    rounds, bare, cpu_s = [], [], 0.0
    for _ in range(ROUNDS):
        before = cpu_seconds(servers)
        rounds.append(paced(resolve, CALLS_PER_S, SECONDS))
        cpu_s += cpu_seconds(servers) - before
        bare.append(at_rank(paced(echoed, CALLS_PER_S, SECONDS), 0.99))
    cpu_ms = cpu_s * 1000 / (ROUNDS * SECONDS * CALLS_PER_S)
    yield from within(name, rounds, LIMIT_MS, cpu_ms, f"; a bare echo needs {statistics.median(bare):.2f} ms")


def _model(running: Running, count: int) -> ModelName:
    """A model with so many versions, the newest in production and called champion."""
    registrations = Registrations.of(running, f"bench-resolving-{count}")
    for _ in range(count):
        registrations.register()
    newest = ModelVersionName(registrations.model.project, registrations.model.model, str(count))
    models.promote(running.connection, newest, _PRODUCTION)
    model_pointers.set_alias(running.connection, registrations.model, "champion", str(count))
    return registrations.model

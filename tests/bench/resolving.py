"""Following a stage and an alias at 500 calls a second, whatever the answers take: the 99th of 100 calls, in ms.

Calls are sent at their times, not when the last answer came, and each is measured from the time at which it was to be
sent: a call that waits for its turn has waited.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence

import grpc.aio

from headwater import model_pointers, models
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ModelName, ModelVersionName
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc
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
    for count in VERSIONS:
        model = _model(running, count)
        by_stage = models_pb2.ResolveModelVersionRequest(name=str(model), stage=_PRODUCTION, view=_BASIC)
        by_alias = models_pb2.ResolveModelVersionRequest(name=str(model), alias="champion", view=_BASIC)
        for what, request in (("a stage", by_stage), ("an alias", by_alias)):
            yield from _measured(running, f"resolve {what}, model of {count:,} versions", request)


def _measured(running: Running, name: str, request: models_pb2.ResolveModelVersionRequest) -> Iterator[Result]:
    servers = running.processes("registry", "postgres")
    with asyncio.Runner() as runner:
        runner.run(_round(running, request, 1))  # a warm-up
        cpu_s = cpu_seconds(servers)
        rounds = [sorted(runner.run(_round(running, request, SECONDS))) for _ in range(ROUNDS)]
        cpu_ms = (cpu_seconds(servers) - cpu_s) * 1000 / (ROUNDS * SECONDS * CALLS_PER_S)
    for rank, must_be in ((0.5, ""), (0.99, "≥ 1")):
        reached = sorted(each[int(rank * len(each))] for each in rounds)
        ratios = sorted(LIMIT_MS / each for each in reached)
        yield Result(
            name=f"{name}, at {CALLS_PER_S} calls/s, p{rank * 100:.0f}",
            ours=statistics.median(reached),
            theirs=LIMIT_MS,
            unit="ms",
            ratio=statistics.median(ratios),
            low=ratios[0],
            high=ratios[-1],
            cpu_ms=cpu_ms,
            peer="the limit",
            must_be=must_be,
        )


async def _round(running: Running, request: models_pb2.ResolveModelVersionRequest, seconds: int) -> Sequence[float]:
    """What each call took, in ms."""
    metadata = (("authorization", f"Bearer {running.connection.token}"),)
    async with grpc.aio.insecure_channel(running.connection.endpoints.registry) as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        await stub.ResolveModelVersion(request, metadata=metadata)

        async def call(due: float) -> float:
            await stub.ResolveModelVersion(request, metadata=metadata)
            return (time.perf_counter() - due) * 1000

        begun = time.perf_counter() + 0.1
        calls = []
        for number in range(seconds * CALLS_PER_S):
            due = begun + number / CALLS_PER_S
            await _until(due)
            calls.append(asyncio.create_task(call(due)))
        return await asyncio.gather(*calls)


async def _until(due: float) -> None:
    """Wait, to some microseconds: a sleep alone may come back a millisecond late."""
    while (left := due - time.perf_counter()) > 0:
        await asyncio.sleep(left - 0.001 if left > 0.002 else 0)


def _model(running: Running, count: int) -> ModelName:
    """A model with so many versions, the newest in production and called champion."""
    registrations = Registrations.of(running, f"bench-resolving-{count}")
    for _ in range(count):
        registrations.register()
    newest = ModelVersionName(registrations.model.project, registrations.model.model, str(count))
    models.promote(running.connection, newest, _PRODUCTION)
    model_pointers.set_alias(running.connection, registrations.model, "champion", str(count))
    return registrations.model

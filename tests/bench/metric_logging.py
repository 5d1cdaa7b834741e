"""LogMetrics, 1,000 points a call, against a bare asyncpg COPY of the same rows into the same PostgreSQL."""

import asyncio
import datetime
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence

import asyncpg
import grpc.aio

from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from tests.bench.paired import ROUNDS, Result, measure
from tests.bench.running import Running

POINTS, CALLS, CLIENTS = 1_000, 40, 8
TABLE = "CREATE TABLE bench_points (run uuid, key text, step bigint, time timestamptz, value double precision)"


def run(running: Running) -> Iterator[Result]:
    """One client, and several. Both commit each call durably."""
    with asyncio.Runner() as runner:
        logger = runner.run(_Logger.open(running))
        copier = runner.run(_Copier.open(running.database_url))
        for clients in (1, CLIENTS):
            runner.run(logger.prepare(clients * (2 * ROUNDS + 1)))
            yield measure(
                f"LogMetrics, {POINTS:,} points a call, {clients} clients",
                _repeat(runner, logger, clients),
                _repeat(runner, copier, clients),
                unit="points/s",
                peer="asyncpg COPY, no network service",
                servers=running.processes("registry", "postgres"),
            )
        runner.run(logger.close())
        runner.run(copier.close())


def _repeat(runner: asyncio.Runner, writer: "_Logger | _Copier", clients: int) -> Callable[[], float]:
    def once() -> float:
        runner.run(_share(CALLS, writer.clients(clients)))
        return float(POINTS * CALLS)

    return once


async def _share(calls: int, clients: Sequence[Callable[[int], Awaitable[object]]]) -> None:
    """Let the clients make ``calls`` calls between them."""
    batches = iter(range(calls))

    async def client(call: Callable[[int], Awaitable[object]]) -> None:
        for batch in batches:
            await call(batch)

    await asyncio.gather(*map(client, clients))


class _Logger:
    """Clients of the registry; each logs to a run of its own."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self._channel = channel
        self._stub = runs_pb2_grpc.RunServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._runs: list[str] = []

    @classmethod
    async def open(cls, running: Running) -> "_Logger":
        return cls(grpc.aio.insecure_channel(running.connection.endpoints.registry), running.connection.token)

    async def prepare(self, count: int) -> None:
        """Make runs that nothing is logged to yet."""
        request = runs_pb2.CreateRunRequest(parent="projects/default", run=artifact_pb2.Run(display_name="bench"))
        self._runs = [(await self._stub.CreateRun(request, metadata=self._metadata)).name for _ in range(count)]

    def clients(self, count: int) -> list[Callable[[int], Awaitable[object]]]:
        return [self._client(self._runs.pop()) for _ in range(count)]

    def _client(self, run: str) -> Callable[[int], Awaitable[object]]:
        async def call(batch: int) -> None:
            request = runs_pb2.LogMetricsRequest(name=run, points=_points(batch))
            await self._stub.LogMetrics(request, metadata=self._metadata)

        return call

    async def close(self) -> None:
        await self._channel.close()


def _points(batch: int) -> list[runs_pb2.MetricPoint]:
    first = batch * POINTS
    return [runs_pb2.MetricPoint(key="loss", value=step * 0.5, step=step) for step in range(first, first + POINTS)]


class _Copier:
    """Connections to PostgreSQL; each copies into the one table."""

    def __init__(self, connections: "list[asyncpg.Connection[asyncpg.Record]]") -> None:
        self._connections = connections

    @classmethod
    async def open(cls, url: str) -> "_Copier":
        connections = [await asyncpg.connect(url) for _ in range(CLIENTS)]
        await connections[0].execute(TABLE)
        return cls(connections)

    def clients(self, count: int) -> list[Callable[[int], Awaitable[object]]]:
        return [self._client(connection) for connection in self._connections[:count]]

    def _client(self, connection: "asyncpg.Connection[asyncpg.Record]") -> Callable[[int], Awaitable[object]]:
        run = uuid.uuid4()

        async def call(batch: int) -> None:
            now = datetime.datetime.now(datetime.UTC)
            first = batch * POINTS
            records = [(run, "loss", step, now, step * 0.5) for step in range(first, first + POINTS)]
            await connection.copy_records_to_table("bench_points", records=records)

        return call

    async def close(self) -> None:
        await self._connections[0].execute("DROP TABLE bench_points")
        for connection in self._connections:
            await connection.close()

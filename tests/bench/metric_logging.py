"""LogMetrics, 1,000 points a call, against mlflow and bare asyncpg COPY on the same PostgreSQL; the same call again.

Twice: a thousand points of one metric, as somebody logs who collects them; and a point of each of a thousand metrics,
as somebody does who watches every layer. All three sides get the same points.
"""

import asyncio
import dataclasses
import datetime
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import asyncpg
import grpc.aio
import httpx

from headwater.artifact.v1 import artifact_pb2
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from tests.bench.mlflow_peer import Mlflow, mlflow_server
from tests.bench.paired import ROUNDS, Result, measure
from tests.bench.running import Running

POINTS, CALLS, CLIENTS = 1_000, 40, 8
HISTORY, RETRIES = 200_000, 20
TABLE = "CREATE TABLE bench_points (run uuid, key text, step bigint, time timestamptz, value double precision)"


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What calls log: ``points`` gives the key, step and value of each point of a call by its number."""

    name: str
    points: Callable[[int], Sequence[tuple[str, int, float]]]


ONE_METRIC = Work(
    f"{POINTS:,} points a call",
    lambda batch: [("loss", step, step * 0.5) for step in range(batch * POINTS, (batch + 1) * POINTS)],
)
MANY_METRICS = Work(
    f"{POINTS:,} metrics a call",
    lambda batch: [(f"layer.{n}.grad_norm", batch, (n * 7919 + batch * 31337) % 100_003 * 0.5) for n in range(POINTS)],
)


def run(running: Running) -> Iterator[Result]:
    """One client, and several. Every side commits each call durably."""
    servers = running.processes("registry", "postgres")
    with asyncio.Runner() as runner:
        logger = runner.run(_Logger.open(running))
        copier = runner.run(_Copier.open(running.database_url))
        for work, clients in ((ONE_METRIC, 1), (ONE_METRIC, CLIENTS), (MANY_METRICS, CLIENTS)):
            runner.run(logger.prepare(clients * (2 * ROUNDS + 1)))
            yield measure(
                f"LogMetrics, {work.name}, {clients} clients",
                _repeat(runner, logger, clients, work),
                _repeat(runner, copier, clients, work),
                unit="points/s",
                peer="asyncpg COPY, no network service",
                servers=servers,
                must_be="≥ 0.4" if clients == CLIENTS else "",
            )
        yield _retries(running, runner, logger)
        with mlflow_server(running.database_url) as peer:
            theirs = _MlflowLogger(peer)
            for work in (ONE_METRIC, MANY_METRICS):
                runner.run(logger.prepare(CLIENTS * (2 * ROUNDS + 1)))
                runner.run(theirs.prepare(CLIENTS * (2 * ROUNDS + 1)))
                yield measure(
                    f"LogMetrics, {work.name}, {CLIENTS} clients, against mlflow",
                    _repeat(runner, logger, CLIENTS, work),
                    _repeat(runner, theirs, CLIENTS, work),
                    unit="points/s",
                    peer="mlflow server, same PostgreSQL",
                    servers=servers,
                    must_be="≥ 30",
                )
            runner.run(theirs.close())
        runner.run(logger.close())
        runner.run(copier.close())


def _retries(running: Running, runner: asyncio.Runner, logger: "_Logger") -> Result:
    """The same call again, where the run has many points and where it has few."""
    runner.run(logger.prepare(2))
    long, short = logger.clients(2, ONE_METRIC)
    for batch in range(HISTORY // POINTS):
        runner.run(_log(long, batch))
    runner.run(_log(short, 0))

    def again(client: Callable[[int], Awaitable[object]], batch: int) -> Callable[[], float]:
        def once() -> float:
            for _ in range(RETRIES):
                runner.run(_log(client, batch))
            return float(RETRIES)

        return once

    return measure(
        f"the same call again, {HISTORY:,} points of history against {POINTS:,}",
        again(long, HISTORY // POINTS - 1),
        again(short, 0),
        unit="calls/s",
        peer=f"a run with {POINTS:,}",
        servers=running.processes("registry", "postgres"),
        must_be="≥ 0.83",
    )


async def _log(client: Callable[[int], Awaitable[object]], batch: int) -> None:
    await client(batch)


def _repeat(
    runner: asyncio.Runner, writer: "_Logger | _Copier | _MlflowLogger", clients: int, work: Work
) -> Callable[[], float]:
    def once() -> float:
        runner.run(_share(CALLS, writer.clients(clients, work)))
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

    def clients(self, count: int, work: Work) -> list[Callable[[int], Awaitable[object]]]:
        return [self._client(self._runs.pop(), work) for _ in range(count)]

    def _client(self, run: str, work: Work) -> Callable[[int], Awaitable[object]]:
        async def call(batch: int) -> None:
            points = [runs_pb2.MetricPoint(key=key, step=step, value=value) for key, step, value in work.points(batch)]
            request = runs_pb2.LogMetricsRequest(name=run, points=points)
            await self._stub.LogMetrics(request, metadata=self._metadata)

        return call

    async def close(self) -> None:
        await self._channel.close()


class _MlflowLogger:
    """Clients of mlflow's REST API; each logs to a run of its own."""

    def __init__(self, peer: Mlflow) -> None:
        self._client = httpx.AsyncClient(base_url=f"{peer.url}/api/2.0/mlflow", timeout=120)
        self._runs: list[str] = []

    async def prepare(self, count: int) -> None:
        """Make runs that nothing is logged to yet."""
        made = [await self._post("runs/create", {"experiment_id": "0", "start_time": 0}) for _ in range(count)]
        self._runs = [answer["run"]["info"]["run_id"] for answer in made]

    def clients(self, count: int, work: Work) -> list[Callable[[int], Awaitable[object]]]:
        return [self._log_to(self._runs.pop(), work) for _ in range(count)]

    def _log_to(self, run: str, work: Work) -> Callable[[int], Awaitable[object]]:
        async def call(batch: int) -> None:
            now = int(time.time() * 1000)
            metrics = [
                {"key": key, "value": value, "timestamp": now, "step": step} for key, step, value in work.points(batch)
            ]
            await self._post("runs/log-batch", {"run_id": run, "metrics": metrics})

        return call

    async def _post(self, method: str, body: dict[str, Any]) -> Any:
        answer = await self._client.post(f"/{method}", json=body)
        answer.raise_for_status()
        return answer.json()

    async def close(self) -> None:
        await self._client.aclose()


class _Copier:
    """Connections to PostgreSQL; each copies into the one table."""

    def __init__(self, connections: "list[asyncpg.Connection[asyncpg.Record]]") -> None:
        self._connections = connections

    @classmethod
    async def open(cls, url: str) -> "_Copier":
        connections = [await asyncpg.connect(url) for _ in range(CLIENTS)]
        await connections[0].execute(TABLE)
        return cls(connections)

    def clients(self, count: int, work: Work) -> list[Callable[[int], Awaitable[object]]]:
        return [self._client(connection, work) for connection in self._connections[:count]]

    def _client(
        self, connection: "asyncpg.Connection[asyncpg.Record]", work: Work
    ) -> Callable[[int], Awaitable[object]]:
        run = uuid.uuid4()

        async def call(batch: int) -> None:
            now = datetime.datetime.now(datetime.UTC)
            records = [(run, key, step, now, value) for key, step, value in work.points(batch)]
            await connection.copy_records_to_table("bench_points", records=records)

        return call

    async def close(self) -> None:
        await self._connections[0].execute("DROP TABLE bench_points")
        for connection in self._connections:
            await connection.close()

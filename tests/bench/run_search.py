"""Searching 100,000 runs by a metric and a parameter, in the order of the metric, against `mlflow server` on the same
PostgreSQL; and the thousandth page against the first.

Both sides get the same runs, each with one metric, two parameters and one tag, straight into their tables: making them
call by call would take mlflow a quarter of an hour.
"""

import asyncio
import http.client
import json
import urllib.parse
from collections.abc import Callable, Iterator

import asyncpg

from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from tests.bench.mlflow_peer import Mlflow, mlflow_server
from tests.bench.paired import Result, measure
from tests.bench.running import Running

RUNS, PAGE, FAR, CALLS = 100_000, 20, 1_000, 10
FILTER = "metrics.accuracy > 0.2 AND params.optimizer = 'adam'"
ORDER = "metrics.accuracy DESC"

# Row n of both sides: accuracy spread over 0 to 1, every second with adam.
_OURS = """
WITH made AS (
    INSERT INTO runs (id, project_id, experiment_id, display_name, description, state, start_time, parameters,
        tags, annotations, parent_run, created_by, failure, job, "references", lifecycle, revision, update_time)
    SELECT gen_random_uuid(), project.id, experiment.id, 'run ' || n, '', 2, now(),
        jsonb_build_object('optimizer', CASE n % 2 WHEN 0 THEN 'adam' ELSE 'sgd' END, 'lr', (n % 100) / 1000.0),
        jsonb_build_object('team', 'team ' || n % 10), '{{}}', '', 'bench', '', '', '[]', 1, 1, now()
    FROM projects AS project
    JOIN experiments AS experiment ON experiment.project_id = project.id AND experiment.name = 'default',
        generate_series(1, {runs}) AS n
    WHERE project.name = 'default'
    RETURNING id, project_id, sequence
)
INSERT INTO latest_metrics (run_id, project_id, key, step, time_us, value, minimum, maximum, point_count)
SELECT id, project_id, 'accuracy', 0, 0, value, value, value, 1
FROM made, LATERAL (SELECT (sequence * 7919 % 100003) / 100003.0 AS value) AS spread
"""
_THEIRS = """
INSERT INTO runs
    (run_uuid, name, source_type, status, start_time, lifecycle_stage, artifact_uri, experiment_id, user_id)
SELECT lpad(to_hex(n), 32, '0'), 'run ' || n, 'LOCAL', 'FINISHED', 1700000000000 + n, 'active', '/tmp', 0, 'bench'
FROM generate_series(1, {runs}) AS n;
INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
SELECT 'accuracy', (n * 7919 % 100003) / 100003.0, 0, 0, false, lpad(to_hex(n), 32, '0')
FROM generate_series(1, {runs}) AS n;
INSERT INTO params (key, value, run_uuid)
SELECT 'optimizer', CASE n % 2 WHEN 0 THEN 'adam' ELSE 'sgd' END, lpad(to_hex(n), 32, '0')
FROM generate_series(1, {runs}) AS n;
INSERT INTO params (key, value, run_uuid)
SELECT 'lr', ((n % 100) / 1000.0)::text, lpad(to_hex(n), 32, '0') FROM generate_series(1, {runs}) AS n;
INSERT INTO tags (key, value, run_uuid)
SELECT 'team', 'team ' || n % 10, lpad(to_hex(n), 32, '0') FROM generate_series(1, {runs}) AS n;
"""


def run(running: Running) -> Iterator[Result]:
    """The first page against mlflow's, then pages far apart against each other."""
    servers = running.processes("registry", "postgres")
    asyncio.run(_fill(running.database_url, _OURS.format(runs=RUNS), schema="registry"))
    ours = _Search(running)
    with mlflow_server(running.database_url) as peer:
        asyncio.run(_fill(_plain(peer.database_url), _THEIRS.format(runs=RUNS)))
        theirs = _MlflowSearch(peer)
        yield measure(
            f"search {RUNS:,} runs, two filters and an order",
            _repeated(lambda: ours.page("")),
            _repeated(theirs.page),
            unit="pages/s",
            peer="mlflow server, same PostgreSQL",
            servers=servers,
            must_be="≥ 10",
        )
    far = ours.token_of(FAR)
    yield measure(
        f"page {FAR:,} of that search",
        _repeated(lambda: ours.page(far)),
        _repeated(lambda: ours.page("")),
        unit="pages/s",
        peer="page 1",
        servers=servers,
        must_be="≥ 0.83",
    )


def _repeated(call: Callable[[], object]) -> Callable[[], float]:
    def once() -> float:
        for _ in range(CALLS):
            call()
        return float(CALLS)

    return once


class _Search:
    """The search over our gRPC API."""

    def __init__(self, running: Running) -> None:
        self._stub = runs_pb2_grpc.RunServiceStub(running.connection.channel("registry"))

    def page(self, token: str) -> str:
        """One page, which must be full; the token of the next."""
        request = runs_pb2.ListRunsRequest(
            parent="projects/default", filter=FILTER, order_by=ORDER, page_size=PAGE, page_token=token
        )
        answer = self._stub.ListRuns(request)
        if len(answer.runs) != PAGE:
            raise RuntimeError(f"a page has {len(answer.runs)} runs")
        return answer.next_page_token

    def token_of(self, number: int) -> str:
        """The token of page ``number``, which is reached page by page."""
        token = ""
        for _ in range(number - 1):
            token = self.page(token)
        return token


class _MlflowSearch:
    """The search over mlflow's REST API, on a connection that stays open."""

    def __init__(self, peer: Mlflow) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(peer.url).netloc, timeout=300)

    def page(self) -> None:
        """The first page, which must be full."""
        body = {"experiment_ids": ["0"], "filter": FILTER, "order_by": [ORDER], "max_results": PAGE}
        headers = {"content-type": "application/json"}
        self._connection.request("POST", "/api/2.0/mlflow/runs/search", json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK or len(json.loads(text).get("runs", ())) != PAGE:
            raise RuntimeError(f"mlflow answered {answer.status}: {text[:500]!r}")


async def _fill(url: str, statements: str, *, schema: str = "public") -> None:
    connection = await asyncpg.connect(url, server_settings={"search_path": schema})
    try:
        await connection.execute(statements)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def _plain(url: str) -> str:
    """The URL as asyncpg takes it."""
    return url.replace("postgresql+psycopg2://", "postgresql://")

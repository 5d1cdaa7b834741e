"""The release before goes on writing runs and metrics while this one starts; what it writes is found."""

import math
import sys
from collections.abc import Iterable

import asyncpg
from google.protobuf import timestamp_pb2

from headwater.registry.v1 import runs_pb2
from tests.integration.registry.client import DEFAULT, Client

# As the release before writes them: no experiment, no project of a metric, no copies to search by.
_RUN = """
INSERT INTO runs (id, project_id, display_name, description, state, start_time, parameters, tags, annotations,
    parent_run, created_by, failure, job)
SELECT '01900000-0000-7000-8000-000000000000', id, 'old', '', 1, now(), '{"lr": 0.5}', '{"team": "a"}', '{}', '', '',
    '', ''
FROM projects WHERE name = $1
"""
_METRIC = """
INSERT INTO latest_metrics (run_id, key, step, time_us, value)
VALUES ('01900000-0000-7000-8000-000000000000', 'loss', 1, 0, 0.25)
"""
_TAGS = """UPDATE runs SET parameters = parameters || '{"seed": "7"}', tags = '{"team": "b"}'"""
_PROJECT = """
INSERT INTO projects (id, name, name_key, display_name, description, annotations, create_time)
VALUES (gen_random_uuid(), 'late', 'late', '', '', '{}', now())
"""


async def test_a_run_of_the_release_before_is_found(client: Client, postgres_url: str) -> None:
    """Promise 17."""
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": "registry"})
    try:
        await connection.execute(_RUN, "default")
        await connection.execute(_METRIC)
        await connection.execute(_TAGS)
        wanted = "metrics.loss < 0.5 AND params.lr = 0.5 AND params.seed = 7 AND tags.team = 'b'"
        request = runs_pb2.ListRunsRequest(parent=DEFAULT, filter=wanted, order_by="metrics.loss")
        [run] = (await client.runs.ListRuns(request)).runs
        assert run.experiment == f"{DEFAULT}/experiments/default"

        # A project that it made has no default experiment until its first run.
        await connection.execute(_PROJECT)
        await connection.execute(_RUN.replace("0000-7000", "0001-7000"), "late")
        [late] = (await client.runs.ListRuns(runs_pb2.ListRunsRequest(parent="projects/late"))).runs
        assert late.experiment == "projects/late/experiments/default"
    finally:
        await connection.close()


# As the release before records points: the second time where some are there already.
_POINTS = """
WITH run AS (
    SELECT runs.id, runs.project_id FROM runs WHERE runs.id = $1 FOR SHARE OF runs
), inserted AS (
    INSERT INTO metric_points (run_id, key, step, time_us, value)
    SELECT run.id, 'loss', point.step, 0, point.value
    FROM run, unnest($2::bigint[], $3::double precision[]) AS point (step, value)
    ORDER BY point.step
    ON CONFLICT DO NOTHING RETURNING run_id, key, step, time_us, value
), latest AS (
    INSERT INTO latest_metrics AS known (run_id, key, step, time_us, value, minimum, maximum, point_count, project_id)
    SELECT run.id, 'loss', max(step), 0, max(value), min(value), max(value), count(*), run.project_id
    FROM inserted, run GROUP BY run.id, run.project_id
    ON CONFLICT (run_id, key) DO UPDATE SET step = greatest(known.step, excluded.step),
        value = greatest(known.value, excluded.value), maximum = greatest(known.maximum, excluded.maximum),
        point_count = known.point_count + excluded.point_count
)
SELECT count(*) FROM inserted
"""


async def test_the_release_before_and_this_one_record_each_point_once(client: Client, postgres_url: str) -> None:
    """Promise 17: it knows a row for each point, where many are one row by now."""
    run = (await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT))).name
    epoch = timestamp_pb2.Timestamp()

    async def log(steps: Iterable[int]) -> int:
        points = [runs_pb2.MetricPoint(key="loss", step=step, value=step / 8, time=epoch) for step in steps]
        return (await client.runs.LogMetrics(runs_pb2.LogMetricsRequest(name=run, points=points))).recorded_count

    async def log_as_before(steps: Iterable[int]) -> int:
        steps = list(steps)
        values = [step / 8 for step in steps]
        return int(await connection.fetchval(_POINTS, run.rpartition("/")[2], steps, values))

    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": "registry"})
    try:
        assert await log(range(0, 1000, 2)) == 500
        assert await log_as_before([0, 1, 2, 998, 999, 1000]) == 3
        assert await log_as_before([0, 1, 2, 998, 999, 1000]) == 0
        assert await log([0, 1, 2, 998, 999, 1000]) == 0
        assert await log(range(990, 1100)) == 103
        asked = runs_pb2.ListMetricPointsRequest(name=run, key="loss", page_size=1000)
        found = (await client.runs.ListMetricPoints(asked)).points
        expected = sorted({*range(0, 1000, 2), 1, *range(990, 1100)})
        assert [(point.step, point.value) for point in found] == [(step, step / 8) for step in expected]
        count = await connection.fetchval("SELECT count(*) FROM metric_points WHERE key = 'loss'")
        assert count == len(expected)
        summary = (await client.runs.GetRun(runs_pb2.GetRunRequest(name=run))).metric_summaries["loss"]
        assert (summary.last_step, summary.point_count) == (1099, len(expected))
    finally:
        await connection.close()


async def test_the_release_before_reads_every_value_to_the_bit(client: Client, postgres_url: str) -> None:
    """Promise 17."""
    run = (await client.runs.CreateRun(runs_pb2.CreateRunRequest(parent=DEFAULT))).name
    few = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -2.2250738585072014e-308, 2.225073858507201e-308]
    values = [
        *few,
        sys.float_info.max,
        0.1,
        -1 / 3,
        1e22,
        *(math.ldexp(0.7, power) for power in range(-1074, 1024, 61)),
    ]
    points = [
        runs_pb2.MetricPoint(key="x", step=(-1) ** n * 2**62 + n if n < 2 else n, value=value)
        for n, value in enumerate(values)
    ]
    await client.runs.LogMetrics(runs_pb2.LogMetricsRequest(name=run, points=points))
    connection = await asyncpg.connect(postgres_url, server_settings={"search_path": "registry"})
    try:
        assert await connection.fetchval("SELECT count(*) FROM metric_singles") == 0
        rows = await connection.fetch("SELECT step, value FROM metric_points ORDER BY step")
    finally:
        await connection.close()
    expected = sorted((point.step, n) for n, point in enumerate(points))
    assert [(step, repr(value)) for step, value in rows] == [(step, repr(values[n])) for step, n in expected]

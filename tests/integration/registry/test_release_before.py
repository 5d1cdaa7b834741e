"""The release before goes on writing runs and metrics while this one starts; what it writes is found."""

import asyncpg

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

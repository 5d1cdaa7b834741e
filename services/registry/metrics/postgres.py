"""The hot path: metric points into PostgreSQL with one statement, without the ORM's layers."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from asyncpg import UniqueViolationError

from chassis.db.engine import Database
from headwater.names import RunName
from services.registry.events import Event
from services.registry.ids import is_id
from services.registry.metrics.model import MetricBatch
from services.registry.metrics.store import MetricSink
from services.registry.runs.errors import RunFinished, RunNotFound
from services.registry.runs.model import RunState
from services.registry.runs.parameters import merged
from services.registry.values import Json

# Everything that a call of LogMetrics does, in one round trip. The run is locked for sharing, so that it cannot be
# finished in between. Points are inserted in the order of the primary key: two calls with the same points then wait for
# each other instead of deadlocking. Of two points of one call with the same key, step and time the first one counts.
#
# Where no point is there already, which is nearly always, leaving out ON CONFLICT saves a third of the time.
#
# The summary of a metric is brought up to date from the points that are new: it costs the batch and not the history.
_RECORD_NEW = """
WITH run AS (
    SELECT runs.id, runs.state
    FROM runs JOIN projects ON projects.id = runs.project_id
    WHERE runs.id = $1 AND projects.name = $2
    FOR SHARE OF runs
), inserted AS (
    INSERT INTO metric_points (run_id, key, step, time_us, value)
    SELECT run.id, point.key, point.step, point.time_us, point.value
    FROM run, unnest($3::text[], $4::bigint[], $5::bigint[], $6::double precision[])
        WITH ORDINALITY AS point (key, step, time_us, value, place)
    WHERE run.state = 1
    ORDER BY point.key COLLATE "C", point.step, point.time_us, point.place
    RETURNING run_id, key, step, time_us, value
), inserted_objects AS (
    INSERT INTO metric_objects (run_id, key, step, time_us, value)
    SELECT run.id, point.key, point.step, point.time_us, point.value::jsonb
    FROM run, unnest($14::text[], $15::bigint[], $16::bigint[], $17::text[])
        WITH ORDINALITY AS point (key, step, time_us, value, place)
    WHERE run.state = 1
    ORDER BY point.key COLLATE "C", point.step, point.time_us, point.place
    ON CONFLICT DO NOTHING
    RETURNING key
), summary AS (
    INSERT INTO metric_summaries AS known
        (run_id, key, last_step, last_time_us, last, minimum, maximum, point_count)
    SELECT DISTINCT ON (key) run_id, key, step, time_us, value,
        min(value) FILTER (WHERE value <> 'NaN') OVER same_key,
        max(value) FILTER (WHERE value <> 'NaN') OVER same_key,
        count(*) OVER same_key
    FROM inserted
    WINDOW same_key AS (PARTITION BY key)
    ORDER BY key, step DESC, time_us DESC
    ON CONFLICT (run_id, key) DO UPDATE SET
        (last_step, last_time_us, last) = (
            SELECT step, time_us, value
            FROM (VALUES (known.last_step, known.last_time_us, known.last),
                (excluded.last_step, excluded.last_time_us, excluded.last)) AS either (step, time_us, value)
            ORDER BY step DESC, time_us DESC LIMIT 1
        ),
        minimum = least(known.minimum, excluded.minimum),
        maximum = greatest(known.maximum, excluded.maximum),
        point_count = known.point_count + excluded.point_count
), event AS (
    INSERT INTO events (time, actor, kind, object, before_digest, after_digest)
    SELECT $7, $8, $9, $10, $11, $12
    WHERE $13 OR EXISTS (SELECT FROM inserted) OR EXISTS (SELECT FROM inserted_objects)
)
SELECT (SELECT state FROM run) AS state,
    (SELECT count(*) FROM inserted) + (SELECT count(*) FROM inserted_objects) AS recorded
"""
_RECORD_ANY = _RECORD_NEW.replace("    RETURNING run_id", "    ON CONFLICT DO NOTHING RETURNING run_id")
_PARAMETERS = """
SELECT runs.state, runs.parameters::text AS parameters FROM runs JOIN projects ON projects.id = runs.project_id
WHERE runs.id = $1 AND projects.name = $2 FOR UPDATE OF runs
"""
_SET_PARAMETERS = "UPDATE runs SET parameters = $2::text::jsonb WHERE id = $1"


class PostgresMetrics(MetricSink):
    """See MetricSink."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, run: RunName, batch: MetricBatch, parameters: Mapping[str, Json], event: Event) -> int:
        """See MetricSink."""
        if not is_id(run.run):
            raise RunNotFound(run=run)
        with contextlib.suppress(UniqueViolationError):
            return await self._record(_RECORD_NEW, run, batch, parameters, event)
        return await self._record(_RECORD_ANY, run, batch, parameters, event)

    async def _record(
        self, statement: str, run: RunName, batch: MetricBatch, parameters: Mapping[str, Json], event: Event
    ) -> int:
        columns = (batch.keys, batch.steps, batch.times_us, batch.values)
        told = (event.time, event.actor, event.kind, event.object, event.before_digest, event.after_digest)
        objects = [(*point[:3], json.dumps(point.value)) for point in batch.objects]
        object_columns = [list(column) for column in zip(*objects, strict=True)] or [[], [], [], []]
        async with self._database.asyncpg() as connection:
            changed = bool(parameters) and await self._set_parameters(connection, run, parameters)
            row = await connection.fetchrow(statement, run.run, run.project, *columns, *told, changed, *object_columns)
            assert row is not None
            _check_running(run, row["state"])
            return int(row["recorded"])

    async def _set_parameters(self, connection: Any, run: RunName, parameters: Mapping[str, Json]) -> bool:
        """Add parameters; whether any was new."""
        row = await connection.fetchrow(_PARAMETERS, run.run, run.project)
        _check_running(run, row and row["state"])
        present = json.loads(row["parameters"])
        together = merged(present, parameters)
        if together.keys() == present.keys():
            return False
        await connection.execute(_SET_PARAMETERS, run.run, json.dumps(together))
        return True


def _check_running(run: RunName, state: int | None) -> None:
    if state is None:
        raise RunNotFound(run=run)
    if state != RunState.RUNNING:
        raise RunFinished(run=run, state=RunState(state).name)

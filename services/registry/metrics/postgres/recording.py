"""The hot path: metric points into PostgreSQL with one statement, without the ORM's layers."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from asyncpg import UniqueViolationError

from chassis.db.engine import Database
from headwater.names import RunName
from services.registry.events import Event
from services.registry.ids import is_id
from services.registry.metrics.model import Log, ObjectPoint
from services.registry.metrics.store import MetricSink
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Lifecycle, RunState
from services.registry.runs.open import check_open
from services.registry.runs.parameters import merged
from services.registry.runs.tags import merged_tags

# Everything that a call of LogMetrics does, in one round trip. The run is locked for sharing, so that it cannot be
# finished in between. Points are inserted in the order of the primary key: two calls with the same points then wait for
# each other instead of deadlocking. Of two points of one call with the same key, step and time the first one counts.
#
# Where no point is there already, which is nearly always, leaving out ON CONFLICT saves a third of the time.
#
# The latest value of a metric, its minimum, maximum and count are brought up to date from the points that are new: that
# costs the batch and not the history.
_RECORD_NEW = """
WITH run AS (
    SELECT runs.id, runs.project_id, runs.state, runs.lifecycle
    FROM runs JOIN projects ON projects.id = runs.project_id
    WHERE runs.id = $1 AND projects.name = $2
    FOR SHARE OF runs
), inserted AS (
    INSERT INTO metric_points (run_id, key, step, time_us, value)
    SELECT run.id, point.key, point.step, point.time_us, point.value
    FROM run, unnest($3::text[], $4::bigint[], $5::bigint[], $6::double precision[])
        WITH ORDINALITY AS point (key, step, time_us, value, place)
    WHERE run.state = 1 AND run.lifecycle = 1
    ORDER BY point.key COLLATE "C", point.step, point.time_us, point.place
    RETURNING run_id, key, step, time_us, value
), latest AS (
    INSERT INTO latest_metrics AS known
        (run_id, key, step, time_us, value, minimum, maximum, point_count, project_id)
    SELECT DISTINCT ON (key) run_id, key, step, time_us, value,
        min(value) FILTER (WHERE value <> 'NaN') OVER same_key,
        max(value) FILTER (WHERE value <> 'NaN') OVER same_key,
        count(*) OVER same_key,
        run.project_id
    FROM inserted, run
    WINDOW same_key AS (PARTITION BY key)
    ORDER BY key, step DESC, time_us DESC
    ON CONFLICT (run_id, key) DO UPDATE SET
        step = CASE WHEN (excluded.step, excluded.time_us) > (known.step, known.time_us)
            THEN excluded.step ELSE known.step END,
        time_us = CASE WHEN (excluded.step, excluded.time_us) > (known.step, known.time_us)
            THEN excluded.time_us ELSE known.time_us END,
        value = CASE WHEN (excluded.step, excluded.time_us) > (known.step, known.time_us)
            THEN excluded.value ELSE known.value END,
        minimum = least(known.minimum, excluded.minimum),
        maximum = greatest(known.maximum, excluded.maximum),
        point_count = known.point_count + excluded.point_count
), event AS (
    INSERT INTO events (time, actor, kind, object, before_digest, after_digest)
    SELECT $7, $8, $9, $10, $11, $12 WHERE $13 OR EXISTS (SELECT FROM inserted)
)
SELECT run.state, run.lifecycle, (SELECT count(*) FROM inserted) AS recorded FROM run
"""
_RECORD_ANY = _RECORD_NEW.replace("    RETURNING run_id", "    ON CONFLICT DO NOTHING RETURNING run_id")
_RECORD_OBJECTS = """
INSERT INTO metric_objects (run_id, key, step, time_us, value)
SELECT $1, point.key, point.step, point.time_us, point.value::jsonb
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[])
    WITH ORDINALITY AS point (key, step, time_us, value, place)
ORDER BY point.key COLLATE "C", point.step, point.time_us, point.place
ON CONFLICT DO NOTHING
"""
_LOCKED = """
SELECT runs.state, runs.lifecycle, runs.parameters::text AS parameters, runs.tags::text AS tags
FROM runs JOIN projects ON projects.id = runs.project_id
WHERE runs.id = $1 AND projects.name = $2 FOR UPDATE OF runs
"""
_BEGIN = "UPDATE runs SET state = 1, start_time = $2, update_time = $2, revision = revision + 1 WHERE id = $1"
_SET = """
UPDATE runs SET parameters = $2::text::jsonb, tags = $3::text::jsonb, update_time = $4, revision = revision + 1
WHERE id = $1
"""


class PostgresMetrics(MetricSink):
    """See MetricSink."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, run: RunName, log: Log, event: Event) -> int:
        """See MetricSink."""
        if not is_id(run.run):
            raise RunNotFound(run=run)
        has_more = bool(log.parameters or log.tags or log.batch.objects)
        with contextlib.suppress(UniqueViolationError, _Scheduled):
            return await self._record(_RECORD_NEW, run, log, event, locked=has_more)
        return await self._record(_RECORD_ANY, run, log, event, locked=True)

    async def _record(self, statement: str, run: RunName, log: Log, event: Event, *, locked: bool) -> int:
        """Record it all in one transaction. Only what is more than points needs the run for itself."""
        batch = log.batch
        columns = (batch.keys, batch.steps, batch.times_us, batch.values)
        told = (event.time, event.actor, event.kind, event.object, event.before_digest, event.after_digest)
        async with self._database.asyncpg() as connection:
            changed, objects = await _record_more(connection, run, log, event) if locked else (False, 0)
            row = await connection.fetchrow(statement, run.run, run.project, *columns, *told, changed or objects > 0)
            if row is None:
                raise RunNotFound(run=run)
            if row["state"] == RunState.SCHEDULED and row["lifecycle"] == Lifecycle.ACTIVE:
                raise _Scheduled
            check_open(run, RunState(row["state"]), Lifecycle(row["lifecycle"]))
            return int(row["recorded"]) + objects


class _Scheduled(Exception):
    """The run has to begin first, which needs it for oneself: two calls that shared it would wait for each other."""


async def _record_more(connection: Any, run: RunName, log: Log, event: Event) -> tuple[bool, int]:
    """Begin a scheduled run; add parameters, tags, objects. Whether the run changed; how many objects were new."""
    row = await connection.fetchrow(_LOCKED, run.run, run.project)
    if row is None:
        raise RunNotFound(run=run)
    check_open(run, RunState(row["state"]), Lifecycle(row["lifecycle"]))
    begins = row["state"] == RunState.SCHEDULED
    if begins:
        await connection.execute(_BEGIN, run.run, event.time)
    present, present_tags = json.loads(row["parameters"]), json.loads(row["tags"])
    together, all_tags = merged(present, log.parameters), merged_tags(present_tags, log.tags)
    changes = together.keys() != present.keys() or all_tags != present_tags
    if changes:
        await connection.execute(_SET, run.run, json.dumps(together), json.dumps(all_tags), event.time)
    return begins or changes, await _record_objects(connection, run, log.batch.objects)


async def _record_objects(connection: Any, run: RunName, objects: Sequence[ObjectPoint]) -> int:
    if not objects:
        return 0
    rows = [(point.key, point.step, point.time_us, json.dumps(point.value)) for point in objects]
    status = await connection.execute(_RECORD_OBJECTS, run.run, *map(list, zip(*rows, strict=True)))
    return int(status.rpartition(" ")[2])

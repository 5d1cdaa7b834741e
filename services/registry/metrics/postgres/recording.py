"""The hot path: what runs log into PostgreSQL, without the ORM's layers and nearly always with one statement."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from asyncpg import UniqueViolationError

from chassis.db.engine import Database
from headwater.names import RunName
from services.registry.events import Event
from services.registry.ids import is_id
from services.registry.metrics.model import Log, ObjectPoint
from services.registry.metrics.postgres import chunks, statements
from services.registry.metrics.postgres.series import Points
from services.registry.metrics.store import MetricSink
from services.registry.runs.errors import RunNotFound
from services.registry.runs.model import Lifecycle, RunState
from services.registry.runs.open import check_open
from services.registry.runs.parameters import merged
from services.registry.runs.tags import merged_tags

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
        points, follow = Points.of(log.batch), True
        if points and not (log.parameters or log.tags or log.batch.objects):
            try:
                statement = _appending(run, points, event, changed=True)
                if _is_appended(run, await self._database.write_row(*statement)):
                    return len(points)
                follow = False
            except _Scheduled:
                pass
            except UniqueViolationError:
                follow = False
        async with self._database.asyncpg() as connection:
            changed, objects = await _record_more(connection, run, log, event)
            changed = changed or objects > 0
            if follow:
                with contextlib.suppress(UniqueViolationError):
                    async with connection.transaction():
                        statement = _appending(run, points, event, changed=changed or bool(points))
                        if _is_appended(run, await connection.fetchrow(*statement)):
                            return len(points) + objects
            return await _add_new(connection, run, points, event, changed=changed) + objects


class _Scheduled(Exception):
    """The run has to begin first, which needs it for oneself: two calls that shared it would wait for each other."""


def _appending(run: RunName, points: Points, event: Event, *, changed: bool) -> tuple[Any, ...]:
    """The statement, and its arguments, that adds the points if they come after all that are there, and the event if so
    and if anything ``changed``."""
    columns: Sequence[Any]
    metrics = list(points.metrics())
    if len(metrics) == len(points):
        texts, steps, times_us = _array_of_texts(points.keys), _array(points.steps), _array(points.times_us)
        statement, columns = statements.APPEND_ONE_EACH, (texts, steps, times_us, points.values)
    else:
        statement, columns = statements.APPEND_MANY, _of_metrics(points, metrics)
    return statement, run.run, run.project, *_told(event), changed, *columns


def _is_appended(run: RunName, row: Any) -> bool:
    """Whether it did.

    Raises:
        RunNotFound, RunFinished, RunArchived, _Scheduled
    """
    if row is None:
        raise RunNotFound(run=run)
    state, lifecycle = RunState(row["state"]), Lifecycle(row["lifecycle"])
    if state is RunState.SCHEDULED and lifecycle is Lifecycle.ACTIVE:
        raise _Scheduled
    check_open(run, state, lifecycle)
    return bool(row["appended"])


def _of_metrics(points: Points, metrics: Sequence[tuple[int, int]]) -> Sequence[Any]:
    """What is known of each metric by the points of this call, the chunks and the single points, all by column."""
    known: list[tuple[Any, ...]] = []
    together: list[tuple[Any, ...]] = []
    singles: list[tuple[Any, ...]] = []
    for begin, end in metrics:
        part = points.part(begin, end)
        known.append(part.summary)
        if len(part) >= chunks.LEAST:
            together += [_chunk(part.part(*bounds)) for bounds in chunks.in_chunks(len(part))]
        else:
            singles += zip(*part.columns, strict=True)
    return *_columns(known, 9), *_columns(together, 6), *_columns(singles, 4)


def _chunk(points: Points) -> tuple[Any, ...]:
    """A row of points of one metric."""
    return *points.ends, chunks.to_bytes(points.steps, points.times_us, points.values)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width


# The driver asks each item of a list whether it is a list itself: to write PostgreSQL's text takes a third of the time.
def _array(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _array_of_texts(texts: Iterable[str]) -> str:
    joined = "\0".join(texts).replace("\\", "\\\\").replace('"', '\\"')  # no text has a NUL
    return '{"' + joined.replace("\0", '","') + '"}' if joined else "{}"


async def _add_new(connection: Any, run: RunName, points: Points, event: Event, *, changed: bool) -> int:
    """Add those of the points that are new, and the event if there are any or if anything ``changed``; how many.

    The run is locked.
    """
    places = list(zip(*points.columns[:3], strict=True))
    known = {
        tuple(point[:3])
        for key, content in await connection.fetch(statements.CHUNKS_AROUND, run.run, *points.columns[:3])
        for point in chunks.points_of(key, content)
    }
    new = [(*place, value) for place, value in zip(places, points.values, strict=True) if place not in known]
    row = await connection.fetchrow(statements.ADD_NEW, run.run, run.project, *_told(event), changed, *_columns(new, 4))
    return int(row["recorded"])


def _told(event: Event) -> tuple[object, ...]:
    return event.time, event.actor, event.kind, event.object, event.before_digest, event.after_digest


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

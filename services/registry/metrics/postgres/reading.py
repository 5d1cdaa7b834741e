"""Reading what runs measured."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Select, Table, Text, Uuid, any_, func, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.metrics.model import MetricPoint, MetricSummary, ObjectPoint, Span
from services.registry.metrics.postgres import chunks
from services.registry.tables import latest_metrics, metric_objects, metric_singles
from services.registry.values import Json

_MAX_OBJECTS_BYTES = 16 * 2**20
"""Latest objects of a run, together: what fits into a message."""
_BEFORE_ALL = (-(2**63), -(2**63))

# So many chunks, each with chunks.LEAST points at least, and then no more than hold the points asked for: of the first
# one only the last point may be among them.
_CHUNKS = text("""
SELECT points FROM (
    SELECT points, last_step, last_time_us, sum(length(points) / 24) OVER (
        ORDER BY last_step, last_time_us ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before
    FROM (
        SELECT points, last_step, last_time_us FROM metric_chunks
        WHERE run_id = :run AND key = :key AND (last_step, last_time_us) > (:step, :time_us)
        ORDER BY last_step, last_time_us LIMIT :chunks
    ) AS next
) AS numbered
WHERE before IS NULL OR before < :enough
ORDER BY last_step, last_time_us
""")

# Single points and chunks follow each other, except for chunks that have single points in between or lie only partly
# between the steps asked for: those are taken apart. Points are numbered by step and time, and only those rows are
# told that have a point to be picked, see Span.picks.
_SAMPLE = text("""
WITH chunk AS (
    SELECT *, first_step >= :first_step AND last_step <= :last_step AND NOT EXISTS (
        SELECT FROM metric_singles AS single
        WHERE single.run_id = chunk.run_id AND single.key = chunk.key
            AND (single.step, single.time_us) > (first_step, first_time_us)
            AND (single.step, single.time_us) < (last_step, last_time_us)
    ) AS stays
    FROM metric_chunks AS chunk
    WHERE run_id = ANY (:runs) AND key = ANY (:keys) AND last_step >= :first_step AND first_step <= :last_step
), part AS (
    SELECT run_id, key, step, time_us, value, NULL::bytea AS points, 1 AS size
    FROM metric_singles
    WHERE run_id = ANY (:runs) AND key = ANY (:keys) AND step BETWEEN :first_step AND :last_step
    UNION ALL
    SELECT run_id, key, point.step, point.time_us, point.value, NULL, 1
    FROM chunk, LATERAL points_in_chunk(chunk.points) AS point
    WHERE NOT stays AND point.step BETWEEN :first_step AND :last_step
    UNION ALL
    SELECT run_id, key, first_step, first_time_us, NULL, points, length(points) / 24 FROM chunk WHERE stays
), numbered AS (
    SELECT *, sum(size) OVER (PARTITION BY run_id, key ORDER BY step, time_us)::bigint AS until,
        sum(size) OVER (PARTITION BY run_id, key)::bigint AS count
    FROM part
)
SELECT run_id, key, step, time_us, value, points, size, until - size AS n, count FROM numbered
WHERE count <= :parts + 1 OR until = size
    OR (until - 1) * :parts / (count - 1) > (until - size - 1) * :parts / (count - 1)
ORDER BY run_id, key, step, time_us
""")


def same_run(column: Any, ids: Sequence[str]) -> Any:
    """Whether the column has one of the ids, which go to the database as one value however many they are."""
    return column == any_(literal(list(ids), ARRAY(Uuid(as_uuid=False))))


async def points(
    connection: AsyncConnection, run_id: str, key: str, after: tuple[int, int] | None, limit: int
) -> Sequence[MetricPoint]:
    """See RunStore."""
    singles = await connection.execute(_points(metric_singles, run_id, key, after, limit))
    position = after or _BEFORE_ALL
    wanted = {"run": run_id, "key": key, "step": position[0], "time_us": position[1]}
    most = {"chunks": limit // chunks.LEAST + 2, "enough": limit + chunks.MOST}
    together = [
        point
        for content in (await connection.execute(_CHUNKS, wanted | most)).scalars()
        for point in chunks.points_of(key, content)
        if after is None or (point.step, point.time_us) > after
    ]
    return sorted([*(MetricPoint(*row) for row in singles), *together], key=_place)[:limit]


async def object_points(
    connection: AsyncConnection, run_id: str, key: str, after: tuple[int, int] | None, limit: int
) -> Sequence[ObjectPoint]:
    """See RunStore."""
    return [ObjectPoint(*row) for row in await connection.execute(_points(metric_objects, run_id, key, after, limit))]


async def summaries(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, dict[str, MetricSummary]]:
    """The summaries of each metric of each run, by key."""
    known = latest_metrics.c
    rows = await connection.execute(
        select(
            known.run_id,
            known.key,
            known.value,
            known.step,
            known.time_us,
            func.coalesce(known.minimum, math.nan),
            func.coalesce(known.maximum, math.nan),
            known.point_count,
        )
        .where(same_run(known.run_id, ids))
        .order_by(known.run_id, known.key)
    )
    found: dict[str, dict[str, MetricSummary]] = {}
    for run_id, key, *summary in rows:
        found.setdefault(run_id, {})[key] = MetricSummary(*summary)
    return found


async def latest_objects(connection: AsyncConnection, run_id: str) -> dict[str, Json]:
    """The latest array or object of each metric that has them, by key, as far as they fit into a message."""
    point = metric_objects.c
    latest = (
        select(point.key, point.value, func.length(func.cast(point.value, Text)).label("size"))
        .ext(distinct_on(point.key))
        .where(point.run_id == run_id)
        .order_by(point.key, point.step.desc(), point.time_us.desc())
        .subquery()
    )
    running = select(latest.c.key, latest.c.value, func.sum(latest.c.size).over(order_by=latest.c.key).label("until"))
    fitting = running.subquery()
    rows = await connection.execute(
        select(fitting.c.key, fitting.c.value).where(fitting.c.until <= _MAX_OBJECTS_BYTES).order_by(fitting.c.key)
    )
    return {row.key: row.value for row in rows}


async def sample(
    connection: AsyncConnection, ids: Sequence[str], keys: Sequence[str], span: Span
) -> Sequence[tuple[str, MetricPoint]]:
    """See RunStore."""
    rows = await connection.execute(
        _SAMPLE.bindparams(
            runs=list(ids),
            keys=list(keys),
            first_step=span.first_step,
            last_step=span.last_step,
            parts=span.max_points - 1,
        )
    )
    picked = []
    for run_id, key, step, time_us, value, content, size, before, count in rows:
        if content is None:
            picked.append((str(run_id), MetricPoint(key, step, time_us, value)))
            continue
        places = (n - before for n in span.picked(before, before + size, count))
        picked += [(str(run_id), point) for point in chunks.points_of(key, content, places)]
    return picked


def _place(point: MetricPoint) -> tuple[int, int]:
    return point.step, point.time_us


def _points(
    table: Table, run_id: str, key: str, after: tuple[int, int] | None, limit: int
) -> Select[tuple[str, int, int, Any]]:
    """Points of one metric by step, then time."""
    point = table.c
    query = select(point.key, point.step, point.time_us, point.value).where(point.run_id == run_id, point.key == key)
    if after is not None:
        query = query.where(tuple_(point.step, point.time_us) > after)
    return query.order_by(point.step, point.time_us).limit(limit)

"""Reading what runs measured."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Select, Table, Text, Uuid, any_, func, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.metrics.model import MetricPoint, MetricSummary, ObjectPoint, Span
from services.registry.tables import latest_metrics, metric_objects, metric_points
from services.registry.values import Json

_MAX_OBJECTS_BYTES = 16 * 2**20
"""Latest objects of a run, together: what fits into a message."""

# The points of a metric are numbered by step and time, see Span.picks.
_SAMPLE = text("""
SELECT run_id, key, step, time_us, value FROM (
    SELECT *, row_number() OVER (PARTITION BY run_id, key ORDER BY step, time_us) - 1 AS n,
        count(*) OVER (PARTITION BY run_id, key) AS count
    FROM metric_points
    WHERE run_id = ANY (:runs) AND key = ANY (:keys) AND step BETWEEN :first_step AND :last_step
) AS numbered
WHERE count <= :parts + 1 OR n = 0 OR n * :parts / (count - 1) > (n - 1) * :parts / (count - 1)
ORDER BY run_id, key, step, time_us
""")


def same_run(column: Any, ids: Sequence[str]) -> Any:
    """Whether the column has one of the ids, which go to the database as one value however many they are."""
    return column == any_(literal(list(ids), ARRAY(Uuid(as_uuid=False))))


async def points(
    connection: AsyncConnection, run_id: str, key: str, after: tuple[int, int] | None, limit: int
) -> Sequence[MetricPoint]:
    """See RunStore."""
    return [MetricPoint(*row) for row in await connection.execute(_points(metric_points, run_id, key, after, limit))]


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
    return [(str(run_id), MetricPoint(*point)) for run_id, *point in rows]


def _points(
    table: Table, run_id: str, key: str, after: tuple[int, int] | None, limit: int
) -> Select[tuple[str, int, int, Any]]:
    """Points of one metric by step, then time."""
    point = table.c
    query = select(point.key, point.step, point.time_us, point.value).where(point.run_id == run_id, point.key == key)
    if after is not None:
        query = query.where(tuple_(point.step, point.time_us) > after)
    return query.order_by(point.step, point.time_us).limit(limit)

"""What records points, each in one round trip."""

_RUN = """
SELECT runs.id, runs.project_id, runs.state, runs.lifecycle
FROM runs JOIN projects ON projects.id = runs.project_id
WHERE runs.id = $1 AND projects.name = $2
"""
_EVENT = "INSERT INTO events (time, actor, kind, object, before_digest, after_digest) SELECT $3, $4, $5, $6, $7, $8"

# Points that come after all that are there of their metrics, which is nearly always so: they need not be compared with
# any but the latest. If only one metric has others, nothing at all is done.
#
# The run is locked for sharing, so that it cannot be finished in between; then the metrics, in their order: two calls
# with the same ones wait for each other instead of deadlocking.
_APPEND = """
WITH run AS ({run} FOR SHARE OF runs), metric AS ({metrics}
){summaries}, points AS (
    INSERT INTO metric_singles (run_id, key, step, time_us, value)
    SELECT open.id, point.* FROM open, {points} AS point
), event AS ({event} FROM open WHERE $9)
SELECT state, lifecycle, EXISTS (SELECT FROM open) AS appended FROM run
"""
# One point of each metric. That one does not come after all others is told by a unique violation.
APPEND_ONE_EACH = _APPEND.format(
    run=_RUN,
    event=_EVENT,
    metrics="""
    SELECT key, step, time_us, value, nullif(value, 'NaN') AS number
    FROM unnest($10::text::text[], $11::text::bigint[], $12::text::bigint[], $13::double precision[])
        AS point (key, step, time_us, value)""",
    summaries=""", summary AS (
    INSERT INTO latest_metrics AS known
        (run_id, key, step, time_us, value, minimum, maximum, point_count, project_id)
    SELECT run.id, key, step, time_us, value, number, number, 1, run.project_id
    FROM run, metric WHERE state = 1 AND lifecycle = 1 ORDER BY key COLLATE "C"
    ON CONFLICT (run_id, key) DO UPDATE SET
        step = excluded.step, time_us = excluded.time_us, value = excluded.value,
        minimum = least(known.minimum, excluded.minimum), maximum = greatest(known.maximum, excluded.maximum),
        point_count = known.point_count + 1
    WHERE (excluded.step, excluded.time_us) > (known.step, known.time_us)
    RETURNING key
), open AS (
    SELECT id FROM run
    WHERE state = 1 AND lifecycle = 1
        AND all_or_none((SELECT count(*) FROM summary), (SELECT count(*) FROM metric))
)""",
    points="(SELECT key, step, time_us, value FROM metric)",
)
# Many of each: what is known of each metric, then its chunks or, where it has few, its points. A metric that another
# call adds meanwhile violates the primary key.
APPEND_MANY = _APPEND.format(
    run=_RUN,
    event=_EVENT,
    metrics="""
    SELECT * FROM unnest($10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
        $15::double precision[], $16::double precision[], $17::double precision[], $18::bigint[])
        AS metric (key, first_step, first_time_us, step, time_us, value, minimum, maximum, point_count)""",
    summaries=""", locked AS MATERIALIZED (
    SELECT known.key, (metric.first_step, metric.first_time_us) > (known.step, known.time_us) AS is_after
    FROM metric JOIN latest_metrics AS known ON known.key = metric.key
    WHERE known.run_id = (SELECT id FROM run WHERE state = 1 AND lifecycle = 1)
    ORDER BY known.key FOR UPDATE OF known
), open AS (
    SELECT id, project_id FROM run
    WHERE state = 1 AND lifecycle = 1 AND NOT EXISTS (SELECT FROM locked WHERE NOT is_after)
), goes_on AS (
    UPDATE latest_metrics AS known SET
        step = metric.step, time_us = metric.time_us, value = metric.value,
        minimum = least(known.minimum, metric.minimum), maximum = greatest(known.maximum, metric.maximum),
        point_count = known.point_count + metric.point_count
    FROM open, metric WHERE known.run_id = open.id AND known.key = metric.key
), begins AS (
    INSERT INTO latest_metrics (run_id, key, step, time_us, value, minimum, maximum, point_count, project_id)
    SELECT open.id, key, step, time_us, value, minimum, maximum, point_count, open.project_id FROM open, metric
    WHERE NOT EXISTS (SELECT FROM locked WHERE locked.key = metric.key)
), chunks AS (
    INSERT INTO metric_chunks (run_id, key, first_step, first_time_us, last_step, last_time_us, points)
    SELECT open.id, chunk.* FROM open,
        unnest($19::text[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bytea[]) AS chunk
)""",
    points="unnest($25::text[], $26::bigint[], $27::bigint[], $28::double precision[])",
)

# The chunks in whose spans points are.
CHUNKS_AROUND = """
SELECT key, points FROM metric_chunks
WHERE run_id = $1 AND (key, last_step, last_time_us) IN (
    SELECT chunk.key, chunk.last_step, chunk.last_time_us
    FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS point (key, step, time_us), LATERAL (
        SELECT * FROM metric_chunks
        WHERE run_id = $1 AND key = point.key AND (last_step, last_time_us) >= (point.step, point.time_us)
        ORDER BY last_step, last_time_us LIMIT 1
    ) AS chunk
    WHERE (chunk.first_step, chunk.first_time_us) <= (point.step, point.time_us)
)
"""
# Points that are in no chunk, of a run that nobody else adds points to. The latest value of a metric, its minimum,
# maximum and count are brought up to date from the points that are new: that costs the batch and not the history.
_ADD_NEW = """
WITH run AS ({run}), inserted AS (
    INSERT INTO metric_singles (run_id, key, step, time_us, value)
    SELECT run.id, point.* FROM run,
        unnest($10::text[], $11::bigint[], $12::bigint[], $13::double precision[]) AS point
    ON CONFLICT DO NOTHING RETURNING run_id, key, step, time_us, value
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
), event AS ({event} WHERE $9 OR EXISTS (SELECT FROM inserted))
SELECT count(*) AS recorded FROM inserted
"""
ADD_NEW = _ADD_NEW.format(run=_RUN, event=_EVENT)

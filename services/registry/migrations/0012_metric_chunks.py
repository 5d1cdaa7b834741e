"""Points of one metric that came together are one row.

The table of points keeps those that come one by one, under another name. Under its old one the release before finds and
adds all points, though slowly.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """See the module."""
    op.rename_table("metric_points", "metric_singles")
    op.execute("ALTER INDEX metric_points_pkey RENAME TO metric_singles_pkey")
    op.create_table(
        "metric_chunks",
        sa.Column("run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        *(sa.Column(f"{place}_{name}", sa.BigInteger, nullable=False) for place in _ENDS for name in _COORDINATES),
        sa.Column("points", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", "last_step", "last_time_us"),
    )
    # Numbers hardly get smaller; a row fills a page and does not go elsewhere.
    op.execute("ALTER TABLE metric_chunks ALTER points SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE metric_chunks SET (toast_tuple_target = 8160)")
    # The new state of a metric beside the old one costs less than on another page.
    op.execute("ALTER TABLE latest_metrics SET (fillfactor = 50)")
    for statement in (_WHOLE, _NUMBER, _POINTS, _VIEW, _ADD, _TRIGGER, _ALL_OR_NONE):
        op.execute(statement)


_ENDS = ("first", "last")
_COORDINATES = ("step", "time_us")
_WHOLE = """
CREATE FUNCTION whole_number_in(content bytea, place integer) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT
RETURN ('x' || encode(substring(content FROM place * 8 + 1 FOR 8), 'hex'))::bit(64)::bigint
"""
# IEEE 754; every step of the arithmetic is exact.
_NUMBER = """
CREATE FUNCTION number_in(content bytea, place integer) RETURNS double precision LANGUAGE sql IMMUTABLE STRICT
BEGIN ATOMIC
    SELECT CASE WHEN bits < 0 THEN -1::double precision ELSE 1::double precision END * CASE exponent
        WHEN 2047 THEN CASE fraction WHEN 0 THEN 'Infinity'::double precision ELSE 'NaN'::double precision END
        WHEN 0 THEN fraction * 4.9406564584124654e-324::double precision
        ELSE (1 + fraction / 4503599627370496::double precision)
            * power(2::double precision, (exponent - 1023)::double precision)
    END
    FROM (SELECT whole_number_in(content, place)) AS found (bits),
        LATERAL (SELECT (bits >> 52) & 2047, bits & 4503599627370495) AS parts (exponent, fraction);
END
"""
# What Python's points_of does, for few points; see services/registry/metrics/postgres/chunks.py.
_POINTS = """
CREATE FUNCTION points_in_chunk(points bytea)
RETURNS TABLE (step bigint, time_us bigint, value double precision) LANGUAGE sql IMMUTABLE AS $$
    SELECT whole_number_in(points, n), whole_number_in(points, count + n), number_in(points, 2 * count + n)
    FROM (SELECT length(points) / 24) AS size (count), generate_series(0, count - 1) AS n
$$
"""
_VIEW = """
CREATE VIEW metric_points AS
SELECT run_id, key, step, time_us, value FROM metric_singles
UNION ALL
SELECT chunk.run_id, chunk.key, point.step, point.time_us, point.value
FROM metric_chunks AS chunk, LATERAL points_in_chunk(chunk.points) AS point
"""
_ADD = """
CREATE FUNCTION add_metric_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Who adds points of this metric in this release holds its row.
    PERFORM FROM latest_metrics WHERE run_id = NEW.run_id AND key = NEW.key FOR UPDATE;
    IF EXISTS (
        SELECT FROM (
            SELECT points FROM metric_chunks
            WHERE run_id = NEW.run_id AND key = NEW.key AND (last_step, last_time_us) >= (NEW.step, NEW.time_us)
            ORDER BY last_step, last_time_us LIMIT 1
        ) AS chunk, LATERAL points_in_chunk(chunk.points) AS point
        WHERE (point.step, point.time_us) = (NEW.step, NEW.time_us)
    ) THEN
        RETURN NULL;
    END IF;
    INSERT INTO metric_singles (run_id, key, step, time_us, value)
    VALUES (NEW.run_id, NEW.key, NEW.step, NEW.time_us, NEW.value) ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN NEW END;
END
$$
"""
_TRIGGER = """
CREATE TRIGGER metric_points_add INSTEAD OF INSERT ON metric_points
FOR EACH ROW EXECUTE FUNCTION add_metric_point()
"""
# Takes back the statement that it is in.
_ALL_OR_NONE = """
CREATE FUNCTION all_or_none(done bigint, wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF done <> wanted THEN
        RAISE unique_violation USING MESSAGE = 'only some of the points come after those that are there';
    END IF;
    RETURN true;
END
$$
"""

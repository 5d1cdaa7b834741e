"""What runs measure."""

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column

# No foreign key, whose check of every row costs as much as the row: whoever adds points holds a lock on their run.
# A point is in one of the two: here when it came with few others of its metric, or not in their order.
metric_singles = Table(
    "metric_singles",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    Column("value", Double, nullable=False),
)

# Points of one metric by step and time; what they are in bytes says metrics/postgres/chunks.py. The chunks of a metric
# do not overlap: each came after all points that were there.
metric_chunks = Table(
    "metric_chunks",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("first_step", BigInteger, nullable=False),
    Column("first_time_us", BigInteger, nullable=False),
    Column("last_step", BigInteger, primary_key=True),
    Column("last_time_us", BigInteger, primary_key=True),
    Column("points", LargeBinary, nullable=False),
)

metric_objects = Table(
    "metric_objects",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    Column("value", JSONB, nullable=False),
)

# Minimum and maximum are null while no value is a number.
latest_metrics = Table(
    "latest_metrics",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("step", BigInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("minimum", Double, nullable=True),
    Column("maximum", Double, nullable=True),
    Column("point_count", BigInteger, nullable=False),
    Column("project_id", Uuid(as_uuid=False), nullable=False),
)
Index(
    "latest_metrics_value",
    latest_metrics.c.project_id,
    latest_metrics.c.key,
    latest_metrics.c.value,
    latest_metrics.c.run_id,
)

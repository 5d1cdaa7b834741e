"""What runs measure."""

from sqlalchemy import BigInteger, Column, Double, Index, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column

# No foreign key, whose check of every row costs as much as the row: whoever adds points holds a lock on their run.
metric_points = Table(
    "metric_points",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    Column("value", Double, nullable=False),
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

"""Runs and their metrics."""

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Identity, SmallInteger, Table, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

runs = Table(
    "runs",
    metadata,
    id_column(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("display_name"),
    text_column("description"),
    Column("state", SmallInteger, nullable=False),
    time_column("start_time"),
    time_column("end_time", nullable=True),
    Column("parameters", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    text_column("parent_run"),
    text_column("created_by"),
    text_column("failure"),
    text_column("job"),
    UniqueConstraint("project_id", "sequence"),
)

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
metric_summaries = Table(
    "metric_summaries",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("last_step", BigInteger, nullable=False),
    Column("last_time_us", BigInteger, nullable=False),
    Column("last", Double, nullable=False),
    Column("minimum", Double, nullable=True),
    Column("maximum", Double, nullable=True),
    Column("point_count", BigInteger, nullable=False),
)

"""The tables, as the newest migration leaves them (a test compares the two)."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _id(name: str = "id", **options: bool) -> Column[str]:
    return Column(name, Uuid(as_uuid=False), **options)  # type: ignore[arg-type]


def _text(name: str, **options: bool) -> Column[str]:
    # Collation C: names are ASCII, and their order must not depend on where the database was made.
    return Column(name, Text(collation="C"), nullable=False, **options)  # type: ignore[arg-type]


def _time(name: str, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


projects = Table(
    "projects",
    metadata,
    _id(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    _text("name"),
    _text("name_key", unique=True),
    _text("display_name"),
    _text("description"),
    Column("annotations", JSONB, nullable=False),
    _time("create_time"),
)

runs = Table(
    "runs",
    metadata,
    _id(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    _text("display_name"),
    _text("description"),
    Column("state", SmallInteger, nullable=False),
    _time("start_time"),
    _time("end_time", nullable=True),
    Column("parameters", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    _text("parent_run"),
    _text("created_by"),
    _text("failure"),
    _text("job"),
    UniqueConstraint("project_id", "sequence"),
)

# No foreign key, whose check of every row costs as much as the row: whoever adds points holds a lock on their run.
metric_points = Table(
    "metric_points",
    metadata,
    _id("run_id", primary_key=True),
    _text("key", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    Column("value", Double, nullable=False),
)

latest_metrics = Table(
    "latest_metrics",
    metadata,
    _id("run_id", primary_key=True),
    _text("key", primary_key=True),
    Column("step", BigInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), primary_key=True),
    _text("digest", primary_key=True),
    _id("id", nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    _text("filename"),
    _time("create_time"),
    _text("created_by"),
)

models = Table(
    "models",
    metadata,
    _id(primary_key=True),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    _text("name"),
    _text("name_key"),
    _text("display_name"),
    _text("description"),
    Column("latest_version", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    _time("create_time"),
    _text("created_by"),
    UniqueConstraint("project_id", "name_key"),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), primary_key=True),
    _text("alias", primary_key=True),
    Column("version", Integer, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    _id(primary_key=True),
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    _text("description"),
    _text("architecture"),
    _text("framework_name"),
    _text("framework_version"),
    _text("digest"),
    _text("primary_digest"),
    Column("run_id", Uuid(as_uuid=False), ForeignKey("runs.id"), nullable=True),
    _text("run_name"),
    Column("inputs", JSONB, nullable=False),
    Column("outputs", JSONB, nullable=False),
    Column("parameter_count", BigInteger, nullable=False),
    Column("hyperparameters", JSONB, nullable=False),
    Column("dataset_versions", JSONB, nullable=False),
    Column("pipeline_versions", JSONB, nullable=False),
    _time("create_time"),
    _text("created_by"),
    UniqueConstraint("model_id", "version"),
)
# One holder at most of staging (2) and of production (3), whatever the code does.
Index(
    "model_versions_one_per_stage",
    model_versions.c.model_id,
    model_versions.c.stage,
    unique=True,
    postgresql_where=model_versions.c.stage.in_((2, 3)),
)

model_files = Table(
    "model_files",
    metadata,
    Column("version_id", Uuid(as_uuid=False), ForeignKey("model_versions.id"), primary_key=True),
    _text("path", primary_key=True),
    _text("digest"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("tensors", JSONB, nullable=False),
    Column("properties", JSONB, nullable=False),
)

# A table and not JSON, which has no NaN: a metric may be that.
model_version_metrics = Table(
    "model_version_metrics",
    metadata,
    Column("version_id", Uuid(as_uuid=False), ForeignKey("model_versions.id"), primary_key=True),
    _text("key", primary_key=True),
    Column("value", Double, nullable=False),
)

stage_transitions = Table(
    "stage_transitions",
    metadata,
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("from_stage", SmallInteger, nullable=False),
    Column("to_stage", SmallInteger, nullable=False),
    _text("actor"),
    _time("time"),
    _text("comment"),
)

objectives = Table(
    "objectives",
    metadata,
    _id(primary_key=True),
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), nullable=False),
    _text("name"),
    _text("name_key"),
    Column("stage", SmallInteger, nullable=False),
    _text("metric"),
    Column("comparison", SmallInteger, nullable=False),
    Column("bound", Double, nullable=False),
    _time("create_time"),
    _text("created_by"),
    UniqueConstraint("model_id", "name_key"),
)

lineage_nodes = Table(
    "lineage_nodes",
    metadata,
    _text("name", primary_key=True),
    _id("id", nullable=False),
    Column("kind", SmallInteger, nullable=False),
    _text("digest"),
    Column("details", JSONB, nullable=False),
)

lineage_edges = Table(
    "lineage_edges",
    metadata,
    _text("second_name", primary_key=True),
    _text("first_name", primary_key=True),
    _text("run_name", primary_key=True),
    Column("role", SmallInteger, primary_key=True),
    _id("id", nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    Index("lineage_edges_first_name", "first_name"),
    Index("lineage_edges_run_name", "run_name"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    _time("time"),
    _text("actor"),
    _text("kind"),
    _text("object"),
    _text("before_digest"),
    _text("after_digest"),
)

"""Versions of models and their moves between stages."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

model_versions = Table(
    "model_versions",
    metadata,
    id_column(primary_key=True),
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    text_column("description"),
    text_column("architecture"),
    text_column("framework_name"),
    text_column("framework_version"),
    text_column("digest"),
    text_column("primary_digest"),
    Column("run_id", Uuid(as_uuid=False), ForeignKey("runs.id"), nullable=True),
    text_column("run_name"),
    Column("inputs", JSONB, nullable=False),
    Column("outputs", JSONB, nullable=False),
    Column("parameter_count", BigInteger, nullable=False),
    Column("hyperparameters", JSONB, nullable=False),
    Column("dataset_versions", JSONB, nullable=False),
    Column("pipeline_versions", JSONB, nullable=False),
    time_column("create_time"),
    text_column("created_by"),
    text_column("semantic_version"),
    Column("format", SmallInteger, nullable=False),
    text_column("task"),
    Column("annotations", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("user_metadata", JSONB, nullable=False),
    Column("dangling_links", JSONB, nullable=False),
    Column("state", SmallInteger, nullable=False),
    text_column("replacement"),
    Column("problems", JSONB, nullable=False),
    Column("breaking_changes", JSONB, nullable=False),
    text_column("source"),
    text_column("logged_model"),
    time_column("update_time"),
    Column("weight", Integer, nullable=False),
    Column("preprocessing", JSONB(none_as_null=True), nullable=True),
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

Index("model_versions_replacement", model_versions.c.replacement, postgresql_where=model_versions.c.replacement != "")

# A semantic version is given once, whatever the code does.
Index(
    "model_versions_semantic_version",
    model_versions.c.model_id,
    model_versions.c.semantic_version,
    unique=True,
    postgresql_where=model_versions.c.semantic_version != "",
)

model_files = Table(
    "model_files",
    metadata,
    Column("version_id", Uuid(as_uuid=False), ForeignKey("model_versions.id"), primary_key=True),
    text_column("path", primary_key=True),
    text_column("digest"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("format", SmallInteger, nullable=False),
    Column("tensors", JSONB, nullable=False),
    Column("properties", JSONB, nullable=False),
    Column("facts", JSONB, nullable=False),
)

# A table and not JSON, which has no NaN: a metric may be that.
model_version_metrics = Table(
    "model_version_metrics",
    metadata,
    Column("version_id", Uuid(as_uuid=False), ForeignKey("model_versions.id"), primary_key=True),
    text_column("key", primary_key=True),
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
    text_column("actor"),
    time_column("time"),
    text_column("comment"),
    Column("evidence", JSONB, nullable=False),
    Index("stage_transitions_time", "model_id", "time"),
)

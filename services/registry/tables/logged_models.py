"""Logged models and what was measured of them; what runs read and made."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Double,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column
from services.registry.tables.versions import model_versions

# As DataInput.context tells it: a column of its own has statistics, without which searches are planned wrong.
_CONTEXT = "coalesce(tags ->> 'mlflow.data.context', tags ->> 'context')"

logged_models = Table(
    "logged_models",
    metadata,
    id_column(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("display_name"),
    Column("experiment_id", Uuid(as_uuid=False), ForeignKey("experiments.id"), nullable=False),
    text_column("run_name"),
    text_column("model_type"),
    Column("state", SmallInteger, nullable=False),
    text_column("state_message"),
    Column("parameters", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("files", JSONB, nullable=False),
    Column("archived", Boolean, nullable=False),
    time_column("create_time"),
    text_column("created_by"),
    time_column("update_time"),
    UniqueConstraint("project_id", "sequence"),
)

logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("logged_model_id", Uuid(as_uuid=False), ForeignKey("logged_models.id"), primary_key=True),
    text_column("key", primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("time_us", BigInteger, primary_key=True),
    text_column("run_name", primary_key=True),
    text_column("data_name", primary_key=True),
    text_column("data_digest", primary_key=True),
    Column("value", Double, nullable=False),
)

# From a logged model to the versions that were registered from it.
Index(
    "model_versions_logged_model",
    model_versions.c.logged_model,
    postgresql_where=model_versions.c.logged_model != "",
)

run_data_inputs = Table(
    "run_data_inputs",
    metadata,
    Column("run_id", Uuid(as_uuid=False), ForeignKey("runs.id"), primary_key=True),
    text_column("name", primary_key=True),
    text_column("digest", primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    text_column("source_type"),
    text_column("source"),
    text_column("schema"),
    text_column("profile"),
    text_column("dataset_version"),
    Column("tags", JSONB, nullable=False),
    Column("context", Text(collation="C"), Computed(_CONTEXT, persisted=True)),
)

run_models = Table(
    "run_models",
    metadata,
    Column("run_id", Uuid(as_uuid=False), ForeignKey("runs.id"), primary_key=True),
    Column("role", SmallInteger, primary_key=True),
    text_column("model", primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("step", BigInteger, nullable=False),
    Index("run_models_model", "model"),
)

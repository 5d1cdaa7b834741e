"""Models, their aliases with the history of these, and objectives."""

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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

# ``name`` is the last segment of the resource name. Of an archived model that is its id, so that its name is free; the
# name that it had is ``archived_name``, empty for all others.
models = Table(
    "models",
    metadata,
    id_column(primary_key=True),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("name"),
    text_column("name_key"),
    text_column("display_name"),
    text_column("description"),
    Column("latest_version", Integer, nullable=False),
    text_column("latest_semantic_version"),
    Column("revision", BigInteger, nullable=False),
    time_column("create_time"),
    text_column("created_by"),
    time_column("update_time"),
    Column("state", SmallInteger, nullable=False),
    text_column("replacement"),
    text_column("archived_name"),
    Column("tags", JSONB, nullable=False),
    UniqueConstraint("project_id", "name_key"),
    Index("models_replacement", "replacement", postgresql_where=text("replacement <> ''")),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), primary_key=True),
    text_column("alias", primary_key=True),
    Column("version", Integer, nullable=False),
)

# 0 stands for no version. Within a model a later change has a later time.
model_alias_changes = Table(
    "model_alias_changes",
    metadata,
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), primary_key=True),
    text_column("alias"),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False),
    text_column("actor"),
    time_column("time"),
    text_column("comment"),
    Column("evidence", JSONB, nullable=False),
    Index("model_alias_changes_time", "model_id", "alias", "time"),
)

objectives = Table(
    "objectives",
    metadata,
    id_column(primary_key=True),
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), nullable=False),
    text_column("name"),
    text_column("name_key"),
    Column("stage", SmallInteger, nullable=False),
    text_column("metric"),
    Column("comparison", SmallInteger, nullable=False),
    Column("bound", Double, nullable=False),
    time_column("create_time"),
    text_column("created_by"),
    UniqueConstraint("model_id", "name_key"),
)

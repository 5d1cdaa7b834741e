"""Models, their aliases and objectives."""

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, SmallInteger, Table, UniqueConstraint, Uuid

from services.registry.tables.columns import id_column, metadata, text_column, time_column

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
    UniqueConstraint("project_id", "name_key"),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("model_id", Uuid(as_uuid=False), ForeignKey("models.id"), primary_key=True),
    text_column("alias", primary_key=True),
    Column("version", Integer, nullable=False),
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

"""Experiments."""

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, SmallInteger, Table, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

experiments = Table(
    "experiments",
    metadata,
    id_column(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("name"),
    text_column("name_key"),
    text_column("archived_name"),
    text_column("display_name"),
    text_column("description"),
    Column("tags", JSONB, nullable=False),
    Column("state", SmallInteger, nullable=False),
    text_column("replacement"),
    Column("revision", BigInteger, nullable=False),
    time_column("create_time"),
    text_column("created_by"),
    time_column("update_time"),
    UniqueConstraint("project_id", "sequence"),
    UniqueConstraint("project_id", "name_key"),
)
# One in use at most has a display name, whatever the code does; archived ones (3) keep theirs.
Index(
    "experiments_display_name",
    experiments.c.project_id,
    experiments.c.display_name,
    unique=True,
    postgresql_where=(experiments.c.display_name != "") & (experiments.c.state != 3),
)
Index("experiments_replacement", experiments.c.replacement, postgresql_where=experiments.c.replacement != "")

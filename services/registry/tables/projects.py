"""Projects."""

from sqlalchemy import BigInteger, Column, Identity, SmallInteger, Table
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

projects = Table(
    "projects",
    metadata,
    id_column(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    text_column("name"),
    text_column("name_key", unique=True),
    text_column("display_name"),
    text_column("description"),
    Column("annotations", JSONB, nullable=False),
    time_column("create_time"),
    Column("state", SmallInteger, nullable=False),
)

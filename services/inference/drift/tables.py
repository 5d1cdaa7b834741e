"""The table of what was learned of first requests, beside those of tables.py."""

from sqlalchemy import Column, DateTime, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from services.inference.tables import metadata

drift_references = Table(
    "drift_references",
    metadata,
    Column("deployment_uid", Uuid(as_uuid=False), primary_key=True),
    Column("model_version", Text(collation="C"), primary_key=True),
    Column("first_rows", Integer, primary_key=True, autoincrement=False),
    Column("feature", Text(collation="C"), primary_key=True),
    Column("reference", JSONB, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=text("now()")),
)

"""The table of incidents, beside those of tables.py."""

from sqlalchemy import BigInteger, Column, Identity, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.inference.tables import metadata

incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    # The database's own order, as with records.
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project", Text(collation="C"), nullable=False),
    Column("deployment", Text(collation="C"), nullable=False),
    Column("state", Text(collation="C"), nullable=False),
    # Everything, also what is in columns of its own to be searched by.
    Column("incident", JSONB, nullable=False),
    Index("incidents_project", "project", "sequence"),
    Index("incidents_deployment", "project", "deployment", "sequence"),
    Index("incidents_state", "project", "state", "sequence"),
)

"""The table of conversion jobs."""

from sqlalchemy import Column, DateTime, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.inference.tables import metadata

conversions = Table(
    "conversions",
    metadata,
    Column("uid", Uuid(as_uuid=False), primary_key=True),
    Column("project", Text(collation="C"), nullable=False),
    Column("state", Text(collation="C"), nullable=False),
    Column("lease_token", Uuid(as_uuid=False)),
    Column("lease_end_time", DateTime(timezone=True)),
    Column("job", JSONB, nullable=False),
)
Index("conversions_project", conversions.c.project, conversions.c.uid)
Index(
    "conversions_waiting",
    conversions.c.uid,
    postgresql_where=conversions.c.state.in_(["pending", "running"]),
)

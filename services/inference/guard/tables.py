"""The table of standings, beside those of tables.py."""

from sqlalchemy import BigInteger, Column, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.inference.tables import metadata

deployment_standings = Table(
    "deployment_standings",
    metadata,
    Column("uid", Uuid(as_uuid=False), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("standing", JSONB, nullable=False),
)

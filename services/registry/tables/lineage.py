"""The lineage graph."""

from sqlalchemy import Column, ForeignKey, Index, SmallInteger, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column

lineage_nodes = Table(
    "lineage_nodes",
    metadata,
    text_column("name", primary_key=True),
    id_column("id", nullable=False),
    Column("kind", SmallInteger, nullable=False),
    text_column("digest"),
    Column("details", JSONB, nullable=False),
)

lineage_edges = Table(
    "lineage_edges",
    metadata,
    text_column("second_name", primary_key=True),
    text_column("first_name", primary_key=True),
    text_column("run_name", primary_key=True),
    Column("role", SmallInteger, primary_key=True),
    id_column("id", nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    Index("lineage_edges_first_name", "first_name"),
    Index("lineage_edges_run_name", "run_name"),
)

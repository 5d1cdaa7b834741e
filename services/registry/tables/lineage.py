"""The lineage graph.

Names are long and edges are many, so each name is kept once and edges join numbers. The rename of a model changes as
many rows as it has versions, and no edge.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Sequence,
    SmallInteger,
    Table,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column

lineage_nodes = Table(
    "lineage_nodes",
    metadata,
    text_column("name", primary_key=True),
    id_column("id", nullable=False),
    Column("kind", SmallInteger, nullable=False),
    text_column("digest"),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("details", JSONB, nullable=False),
)

lineage_numbers = Sequence("lineage_numbers", metadata=metadata)

# The last four bits of the number are the kind: what depends on something is counted by kind without a look at names.
lineage_names = Table(
    "lineage_names",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    text_column("name", unique=True),
)

# ``run`` is 0 where no run is known. The numbers are those of names; without foreign keys, whose check of every edge
# costs as much as the edge: names are added in the same transaction and never removed. The index has the other columns
# in it, because the edges of one answer lie all over the table.
lineage_links = Table(
    "lineage_links",
    metadata,
    *(Column(name, BigInteger, nullable=False) for name in ("second", "first", "run")),
    Column("role", SmallInteger, nullable=False),
    id_column("id", nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    PrimaryKeyConstraint("second", "first", "run", "role", postgresql_include=["id", "project_id"]),
)

# What a walk follows: from the first to the second of each link and, where a run stands beside it, by way of the run.
lineage_arcs = Table(
    "lineage_arcs",
    metadata,
    Column("origin", BigInteger, primary_key=True, autoincrement=False),
    Column("result", BigInteger, primary_key=True, autoincrement=False),
    Index("lineage_arcs_result", "result", "origin"),
)

"""Pipelines, their versions, and the jobs that apply them."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

from chassis.db.lease import create_leases_table
from chassis.db.requests import create_requests_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pipelines",
        Column("project", Text, primary_key=True),
        Column("pipeline", Text(collation="C"), primary_key=True),
        Column("latest_version", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "pipeline_versions",
        Column("sequence", BigInteger, Identity(), primary_key=True),
        Column("project", Text, nullable=False),
        Column("pipeline", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("definition", JSONB, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("created_by", Text, nullable=False),
        UniqueConstraint("project", "pipeline", "version"),
    )
    op.create_index("pipeline_versions_newest", "pipeline_versions", ["project", "pipeline", "sequence"])
    op.create_table(
        "jobs",
        Column("project", Text, primary_key=True),
        Column("job", Text, primary_key=True),
        Column("pipeline_version", Text, nullable=False),
        Column("dataset_version", Text, nullable=False),
        Column("output_dataset", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("output_version", Text, nullable=False),
        Column("output_created", Boolean, nullable=False),
        Column("chunk_count", BigInteger, nullable=False),
        Column("done_chunk_count", BigInteger, nullable=False),
        Column("cached_chunk_count", BigInteger, nullable=False),
        Column("done_row_count", BigInteger, nullable=False),
        Column("failure_reason", Text, nullable=False),
        Column("failure", Text, nullable=False),
        Column("run", Text, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("started_at", DateTime(timezone=True)),
        Column("ended_at", DateTime(timezone=True)),
        Column("created_by", Text, nullable=False),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "job"])
    create_requests_table()
    create_leases_table()

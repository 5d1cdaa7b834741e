"""Training jobs and their checkpoints."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.db.lease import create_leases_table
from chassis.db.requests import create_requests_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        sa.Column("project", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("fencing_token", sa.BigInteger, nullable=False),
        sa.Column("started_token", sa.BigInteger, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("restart_count", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("progress", JSONB, nullable=False),
        sa.Column("checkpoint", JSONB),
        sa.Column("result", JSONB),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("failure", JSONB),
        sa.Column("start_time", sa.DateTime(timezone=True)),
        sa.Column("end_time", sa.DateTime(timezone=True)),
    )
    op.create_index("jobs_newest", "jobs", ["project", "sequence"])
    unfinished = sa.text("state IN ('pending', 'running', 'finishing')")
    op.create_index("jobs_unfinished", "jobs", ["sequence"], postgresql_where=unfinished)
    op.create_table(
        "checkpoints",
        sa.Column("sequence", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("job_id", sa.Text(collation="C"), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("fencing_token", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False, index=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("checkpoints_of_job", "checkpoints", ["job_id", "sequence"])
    unsettled = sa.text("state <> 'committed'")
    op.create_index("checkpoints_unsettled", "checkpoints", ["state"], postgresql_where=unsettled)
    create_requests_table()
    create_leases_table()

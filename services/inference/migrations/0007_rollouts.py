"""Rollouts: a version takes over a deployment by steps."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table; the release before knows nothing of it, and serves the deployment's own version."""
    op.create_table(
        "rollouts",
        sa.Column("uid", sa.Uuid(), primary_key=True),
        sa.Column("project", sa.Text(collation="C"), nullable=False),
        sa.Column("deployment", sa.Text(collation="C"), nullable=False),
        sa.Column("deployment_uid", sa.Uuid(), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("rollout", JSONB, nullable=False),
    )
    op.create_index("rollouts_deployment", "rollouts", ["project", "deployment", "uid"])
    op.create_index("rollouts_active", "rollouts", ["deployment_uid"], unique=True, postgresql_where=sa.text("active"))

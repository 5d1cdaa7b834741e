"""Conversion jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table; the release before knows nothing of it."""
    op.create_table(
        "conversions",
        sa.Column("uid", sa.Uuid(), primary_key=True),
        sa.Column("project", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("lease_token", sa.Uuid()),
        sa.Column("lease_end_time", sa.DateTime(timezone=True)),
        sa.Column("job", JSONB, nullable=False),
    )
    op.create_index("conversions_project", "conversions", ["project", "uid"])
    op.create_index(
        "conversions_waiting", "conversions", ["uid"], postgresql_where=sa.text("state IN ('pending', 'running')")
    )

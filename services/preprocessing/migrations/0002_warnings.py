"""What who created a job should know."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs that are there have no warnings."""
    op.add_column("jobs", sa.Column("warnings", postgresql.ARRAY(sa.Text), nullable=False, server_default="{}"))

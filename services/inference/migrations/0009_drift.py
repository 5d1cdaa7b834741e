"""What was learned of the first requests to a version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "drift_references",
        sa.Column("deployment_uid", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("model_version", sa.Text(collation="C"), primary_key=True),
        sa.Column("first_rows", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("feature", sa.Text(collation="C"), primary_key=True),
        sa.Column("reference", JSONB, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
    )

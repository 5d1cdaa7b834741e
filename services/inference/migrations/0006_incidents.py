"""Incidents, and what is remembered of deployments for them to go back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        *(sa.Column(name, sa.Text(collation="C"), nullable=False) for name in ("project", "deployment", "state")),
        sa.Column("incident", JSONB, nullable=False),
    )
    op.create_index("incidents_project", "incidents", ["project", "sequence"])
    op.create_index("incidents_deployment", "incidents", ["project", "deployment", "sequence"])
    op.create_index("incidents_state", "incidents", ["project", "state", "sequence"])
    op.create_table(
        "deployment_standings",
        sa.Column("uid", sa.Uuid(as_uuid=False), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("standing", JSONB, nullable=False),
    )

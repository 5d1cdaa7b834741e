"""The pipeline that prepares what a version is asked; null for none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """A column that the release before neither reads nor writes."""
    op.add_column("model_versions", sa.Column("preprocessing", postgresql.JSONB(none_as_null=True), nullable=True))

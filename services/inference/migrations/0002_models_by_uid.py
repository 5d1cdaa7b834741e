"""Deployments know their model by its uid, which a rename does not change."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Empty until the model is found for the first time; the release before leaves it so."""
    op.add_column("deployments", sa.Column("model_uid", sa.Text(collation="C"), nullable=False, server_default=""))

"""Projects that are out of use; the runs that name a model, found by its name."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """The new column has a default, so that the release before can go on adding projects."""
    op.add_column("projects", sa.Column("state", sa.SmallInteger, nullable=False, server_default="1"))
    op.create_index("run_models_model", "run_models", ["model"])

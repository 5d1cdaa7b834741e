"""What data inputs of runs were read for, to search by."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """A copy of tags, made whoever writes them."""
    context = sa.Computed("coalesce(tags ->> 'mlflow.data.context', tags ->> 'context')", persisted=True)
    op.add_column("run_data_inputs", sa.Column("context", sa.Text(collation="C"), context))

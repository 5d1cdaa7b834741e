"""The runs that refer to anything, so that what they refer to can follow a new name."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Few of them do: the index is small, and adding a run that does not costs nothing."""
    op.create_index("runs_references", "runs", ["id"], postgresql_where=sa.text("\"references\" <> '[]'"))

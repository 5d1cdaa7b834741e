"""What compaction has to know of packs: how much was laid into one, and when one that was replaced is to be removed.

A pack that was replaced is in a state of its own, ``retired``: a collector of the release before would remove at once
what is condemned.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, without touching a row, and find packs that are in writing or retired among all others."""
    op.add_column("packs", sa.Column("content_bytes", sa.BigInteger))
    op.add_column("packs", sa.Column("remove_time", sa.DateTime(timezone=True)))
    op.create_index("packs_writing", "packs", ["id"], postgresql_where=sa.text("state = 'writing'"))
    op.create_index("packs_retired", "packs", ["remove_time"], postgresql_where=sa.text("state = 'retired'"))

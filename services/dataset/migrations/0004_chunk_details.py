"""What is known of a chunk beside its rows' place: how it ends and begins, and its columns' statistics.

Chunks of before have the defaults, which say that it is not known; it becomes known when their rows are put again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, without touching a row."""
    op.add_column("chunks", sa.Column("ends_naturally", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("chunks", sa.Column("first_row_bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("chunks", sa.Column("statistics", sa.LargeBinary, nullable=False, server_default=""))

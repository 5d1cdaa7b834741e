"""Views and profiles of versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "views",
        sa.Column("version_uid", sa.Text, sa.ForeignKey("versions.uid"), primary_key=True),
        sa.Column("view", sa.Text(collation="C"), primary_key=True),
        # Unique whatever the case, as the names of datasets are.
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        _created_by(),
        _create_time(),
        sa.UniqueConstraint("version_uid", "folded", name="views_name"),
    )
    op.create_table(
        "profiles",
        # The order in which profiles were begun.
        sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("version_uid", sa.Text, sa.ForeignKey("versions.uid"), nullable=False),
        # A view can be deleted, so its filter is kept here.
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False, server_default="running"),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("rows_done", sa.BigInteger, nullable=False, server_default="0"),
        # Name, rows and bytes of each split, for lists; what is known of the columns is in ``content``.
        sa.Column("splits", postgresql.JSONB, nullable=False, server_default="[]"),
        sa.Column("content", sa.LargeBinary, nullable=False, server_default=""),
        _created_by(),
        _create_time(),
        sa.Column("end_time", sa.DateTime(timezone=True)),
    )
    op.create_index("profiles_of_version", "profiles", ["version_uid", "number"])
    op.create_index("profiles_running", "profiles", ["number"], postgresql_where=sa.text("state = 'running'"))


def _created_by() -> sa.Column[str]:
    return sa.Column("created_by", sa.Text, nullable=False)


def _create_time() -> sa.Column[object]:
    return sa.Column("create_time", sa.DateTime(timezone=True), nullable=False, server_default=_NOW)

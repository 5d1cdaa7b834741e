"""Datastores with their credentials; checkpoints with the splits of their copies; leases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.db.lease import create_leases_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def upgrade() -> None:
    """Create the tables."""
    create_leases_table()
    op.create_table(
        "datastores",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        # Of an archived one its uid, so that the name is free.
        sa.Column("datastore", sa.Text(collation="C"), nullable=False),
        # Unique whatever the case, as the names of datasets are.
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("place", postgresql.JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="active"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        *_made(),
        sa.UniqueConstraint("project", "folded", name="datastores_name"),
    )
    # Apart from what is listed, and encrypted with a key that the database never sees.
    op.create_table(
        "datastore_credentials",
        sa.Column("datastore_uid", sa.Text, sa.ForeignKey("datastores.uid"), primary_key=True),
        sa.Column("names", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    )
    op.create_table(
        "checkpoints",
        # The order in which checkpoints were begun.
        sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("version_uid", sa.Text, sa.ForeignKey("versions.uid"), nullable=False),
        sa.Column("checkpoint", sa.Text(collation="C"), nullable=False),
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        sa.Column("materialized", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
        sa.Column("digest", sa.LargeBinary, nullable=False, server_default=""),
        sa.Column("profile", sa.Text, nullable=False, server_default=""),
        *_made(),
        sa.Column("end_time", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("version_uid", "folded", name="checkpoints_name"),
    )
    op.create_index("checkpoints_of_version", "checkpoints", ["version_uid", "number"])
    op.create_index("checkpoints_running", "checkpoints", ["number"], postgresql_where=sa.text("state = 'running'"))
    op.create_table(
        "checkpoint_splits",
        sa.Column("checkpoint_uid", sa.Text, sa.ForeignKey("checkpoints.uid"), primary_key=True),
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("root_id", sa.BigInteger, sa.ForeignKey("nodes.id"), nullable=False, index=True),
        sa.Column("arrow_schema", sa.LargeBinary, nullable=False),
    )


def _made() -> tuple[sa.Column[str], sa.Column[object]]:
    return (
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
    )

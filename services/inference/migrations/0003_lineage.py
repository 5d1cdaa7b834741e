"""What the registry has not been told yet of deployments and of what they served."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """What is there already is told, too: no change of it has been announced."""
    op.execute("CREATE SEQUENCE deployment_changes")
    next_change = sa.text("nextval('deployment_changes')")
    op.add_column("deployments", sa.Column("change", sa.BigInteger, nullable=False, server_default=next_change))
    op.add_column("deployments", sa.Column("announced_change", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index(
        "deployments_unannounced", "deployments", ["change"], postgresql_where=sa.text("announced_change < change")
    )
    op.create_table(
        "deployment_uses",
        sa.Column("uid", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("model", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Text(collation="C"), nullable=False),
        sa.Column("announced", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("uid", "model", "version"),
        sa.ForeignKeyConstraint(["uid"], ["deployments.uid"]),
    )
    op.create_index(
        "deployment_uses_unannounced", "deployment_uses", ["uid"], postgresql_where=sa.text("NOT announced")
    )

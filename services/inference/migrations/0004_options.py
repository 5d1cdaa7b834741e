"""The options of deployments in one document: they grow in number, and nothing searches by them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Move what there is into the document."""
    op.add_column("deployments", sa.Column("options", JSONB, nullable=False, server_default="{}"))
    op.execute(
        "UPDATE deployments SET options = jsonb_build_object('batching', jsonb_build_object("
        "'max_batch_rows', max_batch_rows, 'max_queue_requests', max_queue_requests))"
    )
    op.drop_column("deployments", "max_batch_rows")
    op.drop_column("deployments", "max_queue_requests")

"""Lineage with deployments and receipts, and quick to walk."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """See the module."""

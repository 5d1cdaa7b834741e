"""Versions: semantic versions, what is said of them, who used them."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """See the module."""

"""Uploads that can be resumed, and what runs made."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """See the module."""

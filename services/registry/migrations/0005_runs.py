"""Experiments; runs with tags that can be searched, more of each metric."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """See the module."""

"""Models that runs log, and the data that they read."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """See the module."""

"""Models: states, tags, the history of aliases, evidence of moves."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """See the module."""

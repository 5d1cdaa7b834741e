"""All commands of ``headwater run``, registered with ``app``."""

from headwater.cli.run import changing, listing, showing
from headwater.cli.run.app import app

__all__ = ["app", "changing", "listing", "showing"]

"""All commands of ``headwater model``, registered with ``app``."""

from headwater.cli.model import comparing, lifecycle, listing, moves, versions
from headwater.cli.model.app import app

__all__ = ["app", "comparing", "lifecycle", "listing", "moves", "versions"]

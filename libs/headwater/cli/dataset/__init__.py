"""``headwater dataset``: one module for each noun."""

from headwater.cli.dataset import rows  # registers its commands
from headwater.cli.dataset.app import app

__all__ = ["app", "rows"]

"""``headwater dataset``: one module for each noun."""

from headwater.cli.dataset import history, proofs, rows  # each registers its commands
from headwater.cli.dataset.app import app

__all__ = ["app", "history", "proofs", "rows"]

"""``headwater dataset``: one module for each noun."""

from headwater.cli.dataset import about, changes, exports, history, places, proofs, rows  # each registers its commands
from headwater.cli.dataset.app import app

__all__ = ["about", "app", "changes", "exports", "history", "places", "proofs", "rows"]

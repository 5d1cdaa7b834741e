"""``headwater dataset``: one module for each noun, which registers its commands with ``app``.

``every`` has them all. This package itself has none, so that a command that has to be fast can be imported alone.
"""

from headwater.cli.dataset.app import app

__all__ = ["app"]

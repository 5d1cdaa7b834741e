"""All commands of ``headwater dataset``, registered with ``app``."""

from headwater.cli.dataset import (
    about,
    changes,
    exports,
    history,
    places,
    profiles,
    proofs,
    pushing,
    rows,
    users,
    views,
)
from headwater.cli.dataset.app import app

__all__ = [
    "about",
    "app",
    "changes",
    "exports",
    "history",
    "places",
    "profiles",
    "proofs",
    "pushing",
    "rows",
    "users",
    "views",
]

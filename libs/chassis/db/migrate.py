"""Brings one service's schema to its newest form."""

from pathlib import Path


async def migrate(url: str, schema: str, scripts: Path) -> None:
    """Create the role and the schema if they are missing, then apply every script in ``scripts`` not yet applied.

    ``scripts`` holds Alembic revisions (``0001_….py``) and nothing else: no env.py, no ini file. Safe to call from any
    number of processes at once: they queue on one advisory lock.
    """
    raise NotImplementedError

"""Digests as Headwater writes them: ``sha256:`` and 64 lower-case hex digits."""

import hashlib
from pathlib import Path


def of_bytes(content: bytes) -> str:
    """The digest of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def of_file(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

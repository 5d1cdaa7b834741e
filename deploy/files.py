"""Small files that are replaced at once: a reader sees the old content or the new one, never half."""

import os
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Writes `text` with `mode`, which holds from the first byte on."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def write_secret(path: Path, text: str) -> None:
    """Writes `text` so that only the owner can read it."""
    write(path, text, 0o600)

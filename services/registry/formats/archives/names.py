"""Which names the members of an archive may have: relative paths that mean one file on every system.

Nothing is extracted here; but whoever extracts the archive later relies on what was recognised in it (promise 13).
"""

import re
import unicodedata
from collections.abc import Iterable

MAX_NAME = 1024
MAX_DEPTH = 32
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BadName(ValueError):
    """A name is no relative path, or there is another one that some system takes for the same."""


def check_names(names: Iterable[str]) -> None:
    """Go on if each is a relative path and no two could be the same file; a folder's name ends with ``/``.

    Raises:
        BadName
    """
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        _check_path(name)
        path = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
        if path in seen:
            raise BadName(f"{name[:255]!r} is there twice, or differs only in case")
        seen.add(path)
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in folders:
        if folder in seen:
            raise BadName(f"{folder[:255]!r} is a file and a folder")


def _check_path(name: str) -> None:
    if not name or len(name) > MAX_NAME or _CONTROL.search(name) or "\\" in name:
        raise BadName(f"the name {name[:255]!r} is empty, too long, or has characters that no name may have")
    parts = name.removesuffix("/").split("/")
    if len(parts) > MAX_DEPTH or any(part in ("", ".", "..") for part in parts) or ":" in parts[0]:
        raise BadName(f"the name {name[:255]!r} is no relative path, or leads out of the archive")

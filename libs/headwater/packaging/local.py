"""Paths on the user's own machine that a document names.

A document may come from anybody, so that what it names lies in its own folder: none can have a private key uploaded.
"""

from pathlib import Path

from headwater.errors import InvalidArgument


class LocalFileRefused(InvalidArgument):
    """What a document names is not there, or is outside of its folder."""

    reason = "LOCAL_FILE_REFUSED"


def path(folder: Path, text: str, field: str) -> Path:
    """The file or folder that ``text`` names within ``folder``, links followed.

    Raises:
        LocalFileRefused: naming ``field``.
    """
    try:
        found = (folder / text).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        raise LocalFileRefused(f"{field}: {text[:200]} is not there.", field=field) from None
    if not found.is_relative_to(folder.resolve()):
        raise LocalFileRefused(f"{field}: {text[:200]} is outside of {folder}; copy it there.", field=field)
    return found

"""Finding the files below a folder: every one of them or an error, in one order everywhere."""

import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headwater.files.errors import (
    SourceChanged,
    SourceEmpty,
    SourceNotFound,
    SourceOutside,
    SourceUnreadable,
    SourceUnsupported,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A regular file."""

    path: Path
    name: str
    """Its path relative to the source, with ``/``; a single file's own name."""
    size_bytes: int
    modified_ns: int

    @property
    def parts(self) -> list[str]:
        """The folders it is in, and its own name."""
        return self.name.split("/")

    @property
    def extension(self) -> str:
        """``.png``, in lower case; empty when there is none."""
        return self.path.suffix.lower()

    def check_unchanged(self) -> None:
        """Raise SourceChanged when the file was written to since it was found."""
        try:
            status = self.path.stat()
            is_same = (status.st_size, status.st_mtime_ns) == (self.size_bytes, self.modified_ns)
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise SourceChanged(f"{self.path} changed while it was being read.", path=self.path)


def find_files(root: Path) -> list[Found]:
    """The file at ``root``, or all files below it sorted by name (by code point, whatever the locale).

    What begins with a dot (``.git``, ``.DS_Store``) belongs to other tools and is not looked at.

    Raises:
        SourceNotFound, SourceEmpty, SourceUnreadable, SourceOutside, SourceUnsupported: naming the file or folder.
    """
    try:
        if not root.exists():
            raise SourceNotFound(f"There is no file or folder {root}.", path=root)
        if not root.is_dir():
            return [_found(root, root.name)]
        return sorted(_below(root, "", Path(os.path.realpath(root))), key=lambda file: file.name)
    except OSError as error:
        path = error.filename or root
        raise SourceUnreadable(f"{path} cannot be read: {error.strerror or error}.", path=path) from error


def _below(folder: Path, prefix: str, within: Path) -> Iterator[Found]:
    with os.scandir(folder) as entries:
        listed = [entry for entry in entries if not entry.name.startswith(".")]
    if not listed:
        raise SourceEmpty(f"There are no files in {folder}.", path=folder)
    for entry in listed:
        path = Path(entry.path)
        _check_name(path, entry.name)
        if entry.is_symlink():
            _check_link(path, within)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path, f"{prefix}{entry.name}/", within)
        else:
            yield _found(path, prefix + entry.name)


def _found(path: Path, name: str) -> Found:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe or a device could wait for ever.
        raise SourceUnsupported(f"{path} is neither a file nor a folder.", path=path)
    return Found(path, name, status.st_size, status.st_mtime_ns)


def _check_name(path: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SourceUnsupported(f"The name of {os.fsencode(path)!r} is not UTF-8.", path=repr(path)) from error


def _check_link(path: Path, within: Path) -> None:
    # Not Path.resolve, which has an error of its own kind for links that lead in a circle.
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(within):
        raise SourceOutside(f"{path} is a symbolic link that leads out of {within}.", path=path, target=target)
    if target.is_dir():
        raise SourceOutside(f"{path} is a symbolic link to a folder; its files would come twice.", path=path)

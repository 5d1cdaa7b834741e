"""Finding the files below a folder: every one of them or an error, in one order everywhere."""

import array
import hashlib
import itertools
import os
import stat
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from headwater.files.errors import (
    SourceChanged,
    SourceEmpty,
    SourceNotFound,
    SourceOutside,
    SourceUnreadable,
    SourceUnsupported,
)


class Found(NamedTuple):
    """A regular file. A named tuple, because there may be a million of them and nothing is made faster."""

    location: str
    """Where it is, for the operating system."""
    name: str
    """Its path relative to the source, with ``/``; a single file's own name."""
    size_bytes: int
    modified_ns: int
    changed_ns: int
    """When anything about it changed last: unlike the time of modification, nobody can set it."""
    inode: int

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.location)

    @property
    def parts(self) -> list[str]:
        """The folders it is in, and its own name."""
        return self.name.split("/")

    @property
    def extension(self) -> str:
        """``.png``, in lower case; empty when there is none."""
        return os.path.splitext(self.location)[1].lower()

    def read(self) -> bytes:
        """Its content. OSError is the caller's to name.

        Raises:
            SourceChanged: it is not what was found.
        """
        wanted = self.size_bytes + 1  # one byte more than there should be, so that a file that has grown is noticed
        descriptor = os.open(self.location, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.read(descriptor, wanted)
            # A read may return less than there is, above all of a large file.
            while len(content) < self.size_bytes and (more := os.read(descriptor, wanted - len(content))):
                content += more
            self._check(os.fstat(descriptor))
        finally:
            os.close(descriptor)
        if len(content) != self.size_bytes:
            raise self._changed()
        return content

    def check_unchanged(self) -> None:
        """Raise SourceChanged when the file was written to since it was found."""
        try:
            status = os.stat(self.location)
        except FileNotFoundError:
            raise self._changed() from None
        self._check(status)

    def _check(self, status: os.stat_result) -> None:
        if status.st_size != self.size_bytes or status.st_mtime_ns != self.modified_ns:
            raise self._changed()

    def _changed(self) -> SourceChanged:
        return SourceChanged(f"{self.location} changed while it was being read.", path=self.location)


def find_files(root: Path, *, empty_folders: bool = False) -> list[Found]:
    """The file at ``root``, or all files below it sorted by name (by code point, whatever the locale).

    What begins with a dot (``.git``, ``.DS_Store``) belongs to other tools and is not looked at.

    Args:
        empty_folders: whether a folder without files, below another, is passed over; else it is an error.

    Raises:
        SourceNotFound, SourceEmpty, SourceUnreadable, SourceOutside, SourceUnsupported: naming the file or folder.
    """
    try:
        if not root.exists():
            raise SourceNotFound(f"There is no file or folder {root}.", path=root)
        if not root.is_dir():
            return [_found(str(root), root.name, os.stat(root))]
        found: list[Found] = []
        within = Path(os.path.realpath(root))
        folders = [(str(root), "")]
        while folders:
            folder, prefix = folders.pop()
            if not _list(folder, prefix, within, found, folders) and not (empty_folders and prefix):
                raise SourceEmpty(f"There are no files in {folder}.", path=folder)
    except OSError as error:
        path = error.filename or root
        raise SourceUnreadable(f"{path} cannot be read: {error.strerror or error}.", path=path) from error
    if not found:
        raise SourceEmpty(f"There are no files in {root}.", path=root)
    found.sort(key=attrgetter("name"))
    return found


def stamp(files: Sequence[Found]) -> bytes:
    """32 bytes that change when any of the files does, is added, removed or renamed; made without opening one.

    A file that was changed within the last moments may change again at what its file system takes for the same time:
    who remembers a stamp must not trust one that is younger than the newest of ``changed_ns`` by less than two seconds.
    """
    numbers = array.array("q", itertools.chain.from_iterable([file[2:] for file in files]))
    return hashlib.sha256("\0".join([file.name for file in files]).encode() + b"\0\0" + numbers.tobytes()).digest()


def _list(folder: str, prefix: str, within: Path, found: list[Found], folders: list[tuple[str, str]]) -> bool:
    """Add what is in one folder; returns whether there was anything."""
    any_entry = False
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            any_entry = True
            if not name.isascii():
                _check_name(entry.path, name)
            if entry.is_symlink():
                _check_link(entry.path, within)
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, f"{prefix}{name}/"))
            else:
                found.append(_found(entry.path, prefix + name, entry.stat()))
    return any_entry


def _found(location: str, name: str, status: os.stat_result) -> Found:
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe or a device could wait for ever.
        raise SourceUnsupported(f"{location} is neither a file nor a folder.", path=location)
    return Found(location, name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _check_name(location: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SourceUnsupported(
            f"The name of {os.fsencode(location)!r} is not UTF-8.", path=repr(os.fsencode(location))
        ) from error


def _check_link(location: str, within: Path) -> None:
    # Not Path.resolve, which has an error of its own kind for links that lead in a circle.
    target = Path(os.path.realpath(location))
    if not target.is_relative_to(within):
        raise SourceOutside(f"{location} is a symbolic link that leads out of {within}.", path=location, target=target)
    if target.is_dir():
        raise SourceOutside(f"{location} is a symbolic link to a folder; its files would come twice.", path=location)

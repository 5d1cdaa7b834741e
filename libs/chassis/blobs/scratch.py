"""Scratch space on this machine's disk: it goes with its process, also when that was killed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

_PREFIX = "headwater-blobs-"


class Scratch:
    """A new folder, removed when this object goes; what killed processes left is removed when the next one is made.

    A folder is in use for as long as somebody holds the lock on the file ``lock`` in it.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(self.folder / "lock.new", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        (self.folder / "lock.new").rename(self.folder / "lock")  # locked from the moment that others see it
        self.remove = weakref.finalize(self, _remove, self.folder, lock)

    def subfolder(self, name: str) -> Path:
        """A folder in it, made if it is not there."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

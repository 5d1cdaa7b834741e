"""What was pushed before, remembered on this machine, so that files which did not change need not be read again.

A file counts as unchanged when its size, its inode, and its times of modification and change are those of the push
before. One that had been touched within two seconds before that push looked at it is not remembered: it could change
again at what its file system takes for the same time. What is remembered are digests only; the server's word decides
whether it has the rows. A damaged, foreign or old cache is as good as none.

    <user's cache directory>/headwater/pushes/<key>.seal    the whole source: its stamp and its version's digest
    <user's cache directory>/headwater/pushes/<key>.rows    each file that is one row: its digests (``file_rows.py``)
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

RACY_NS = 2 * 10**9
"""More than the coarsest clock of a file system in use, FAT's."""

_FORMAT = "headwater.pushes/1"
_KEPT_DAYS = 90
_DIGEST_BYTES = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Seal:
    """A source as it was pushed."""

    stamp: bytes
    """What ``headwater.files.walk.stamp`` made of its files."""
    digest: str
    """The content digest of the version that its rows make."""


class StatCache:
    """Remembers in ``folder``; in the user's cache directory if none is given."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _cache_directory() / "headwater" / "pushes"

    def seal(self, key: str) -> Seal | None:
        """What is remembered of a whole source."""
        content = self.load(f"{key}.seal")
        if content is None:
            return None
        try:
            values = json.loads(content)
            return Seal(bytes.fromhex(values["stamp"]), str(values["digest"]))
        except (ValueError, KeyError, TypeError):
            return None

    def remember(self, key: str, seal: Seal) -> None:
        """Remember a whole source."""
        self.save(f"{key}.seal", json.dumps({"stamp": seal.stamp.hex(), "digest": seal.digest}).encode())

    def load(self, name: str) -> bytes | None:
        """What was saved under the name, if it is there and whole."""
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return None
        body, checksum = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        return body if hashlib.sha256(body).digest() == checksum else None

    def save(self, name: str, body: bytes) -> None:
        """Save bytes under a name, all or nothing; a cache that cannot be written is none, and no error."""
        temporary = self._folder / f"{name}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                temporary.write_bytes(body + hashlib.sha256(body).digest())
                temporary.replace(self._folder / name)
            finally:
                temporary.unlink(missing_ok=True)
            self._forget_old()

    def _forget_old(self) -> None:
        oldest = time.time() - _KEPT_DAYS * 86_400
        for file in self._folder.iterdir():
            if file.stat().st_mtime < oldest:
                file.unlink(missing_ok=True)


def key_of(path: Path, options: Mapping[str, str]) -> str:
    """What a source is remembered under: where it is, and all that says how its files become rows."""
    said = json.dumps([_FORMAT, os.path.realpath(path), sorted(options.items())])
    return hashlib.sha256(said.encode()).hexdigest()


def _cache_directory() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".cache"

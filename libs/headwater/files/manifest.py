"""What was read: the files behind a dataset version, each with its digest."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator

from headwater import digests
from headwater.files.errors import SourceUnreadable
from headwater.files.walk import Found


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that rows were read from."""

    path: str
    """Relative to the source, with ``/``."""
    digest: str
    """``sha256:`` and 64 hex digits."""
    size_bytes: int


class Manifest:
    """Remembers the digest of each file, so that none is read for it twice."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}

    def read(self, file: Found) -> bytes:
        """The file's content, whose digest becomes its entry."""
        try:
            content = file.read()
        except OSError as error:
            raise _unreadable(file, error) from error
        self._digests[file.name] = hashlib.sha256(content).digest()
        return content

    def digest(self, file: Found) -> bytes:
        """The SHA-256 of a file that was read or is known."""
        return self._digests[file.name]

    def know(self, file: Found, digest: bytes) -> None:
        """Take the word of somebody who has read the file."""
        self._digests[file.name] = digest

    def entry(self, file: Found) -> SourceFile:
        """The file's entry; the file is read for it when it was not read before."""
        digest = self._digests.get(file.name)
        if digest is None:
            with reading(file):
                text = digests.of_file(file.path)
                file.check_unchanged()
            self._digests[file.name] = bytes.fromhex(text.removeprefix("sha256:"))
            return SourceFile(file.name, text, file.size_bytes)
        return SourceFile(file.name, f"sha256:{digest.hex()}", file.size_bytes)


@contextlib.contextmanager
def reading(file: Found) -> Iterator[None]:
    """Name the file in whatever the operating system says against reading it."""
    try:
        yield
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Found, error: OSError) -> SourceUnreadable:
    return SourceUnreadable(f"{file.location} cannot be read: {error.strerror or error}.", path=file.location)

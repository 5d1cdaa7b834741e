"""What was read: the files behind a dataset version, each with its digest."""

import contextlib
import dataclasses
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
        self._files: dict[str, SourceFile] = {}

    def read(self, file: Found) -> bytes:
        """The file's content, whose digest becomes its entry."""
        with reading(file):
            content = file.path.read_bytes()
            file.check_unchanged()
        self._files[file.name] = SourceFile(file.name, digests.of_bytes(content), len(content))
        return content

    def entry(self, file: Found) -> SourceFile:
        """The file's entry; the file is read for it when it was not read before."""
        if file.name not in self._files:
            with reading(file):
                self._files[file.name] = SourceFile(file.name, digests.of_file(file.path), file.size_bytes)
                file.check_unchanged()
        return self._files[file.name]


@contextlib.contextmanager
def reading(file: Found) -> Iterator[None]:
    """Name the file in whatever the operating system says against reading it."""
    try:
        yield
    except OSError as error:
        raise SourceUnreadable(f"{file.path} cannot be read: {error.strerror or error}.", path=file.path) from error
